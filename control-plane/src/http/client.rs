//! Whose call it is, seen through reverse proxies.

use std::net::IpAddr;

use http::HeaderMap;
use ipnet::IpNet;
use nearcast_service::http::Peer;

/// The caller's address: the last one in `X-Forwarded-For` that no proxy of ours added about another of ours.
pub(super) fn address(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let is_proxy = |address: IpAddr| trusted.iter().any(|net| net.contains(&address.to_canonical()));
    let mut address = peer;
    let lines = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
    let hops: Vec<&str> = lines.flat_map(|line| line.split(',')).map(str::trim).collect();
    for hop in hops.into_iter().rev() {
        if !is_proxy(address) {
            break;
        }
        let Ok(before) = hop.parse() else { break };
        address = before;
    }
    address.to_canonical()
}

/// Whether the caller speaks TLS, to this process or to a proxy of ours that says so.
pub(super) fn is_secure(peer: &Peer, headers: &HeaderMap, trusted: &[IpNet]) -> bool {
    let address = peer.address.ip().to_canonical();
    let said = headers.get("x-forwarded-proto").and_then(|value| value.to_str().ok());
    peer.secure || (trusted.iter().any(|net| net.contains(&address)) && said == Some("https"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client_of(peer: &str, forwarded: &[&'static str]) -> String {
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append("x-forwarded-for", http::HeaderValue::from_static(line));
        }
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        address(peer.parse().unwrap(), &headers, &trusted).to_string()
    }

    #[test]
    fn only_what_our_own_proxies_say_is_believed() {
        assert_eq!(client_of("198.51.100.1", &["203.0.113.1"]), "198.51.100.1");
        assert_eq!(client_of("10.0.0.1", &["203.0.113.1"]), "203.0.113.1");
        assert_eq!(client_of("::ffff:10.0.0.1", &["203.0.113.1"]), "203.0.113.1");
        assert_eq!(client_of("10.0.0.1", &["192.0.2.66, 203.0.113.1, 10.0.0.2"]), "203.0.113.1");
        assert_eq!(client_of("10.0.0.1", &["192.0.2.66", "203.0.113.1"]), "203.0.113.1");
        assert_eq!(client_of("10.0.0.1", &["nonsense"]), "10.0.0.1");
        assert_eq!(client_of("10.0.0.1", &[]), "10.0.0.1");
    }
}
