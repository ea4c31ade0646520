//! Where a viewer's page should go. Open to everybody, from any page.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, State};
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL};
use ipnet::IpNet;
use nearcast_api::steer::Steering;
use nearcast_api::{ChannelId, Problem};
use nearcast_service::http::Peer;
use serde::Deserialize;

use super::auth::MaybeAdmin;
use super::{Shared, extract};
use crate::error::{Error, Result};
use crate::steer;

/// Options of a steering call.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
pub(super) struct Query {
    /// Steer this address instead of the caller's; needs the admin token.
    #[param(value_type = Option<String>)]
    ip: Option<IpAddr>,
}

/// Edges for the caller, best first
#[utoipa::path(get, operation_id = "steer", path = "/steer/{channel}", tag = "viewers", params(("channel" = ChannelId, Path), Query),
    security((), ("admin" = [])),
    responses((status = 200, body = Steering),
        (status = 404, body = Problem, content_type = Problem::CONTENT_TYPE, description = "No such channel"),
        (status = "4XX", body = Problem, content_type = Problem::CONTENT_TYPE)))]
pub(super) async fn show(
    MaybeAdmin(admin): MaybeAdmin,
    extract::Path(channel): extract::Path<ChannelId>,
    extract::Query(Query { ip }): extract::Query<Query>,
    Extension(peer): Extension<Peer>,
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
) -> Result<Response> {
    let address = match ip {
        Some(address) if admin => address,
        Some(_) => return Err(Error::NotAdminForIp),
        None => client(peer.address.ip(), &headers, &shared.trusted_proxies),
    };
    let snapshot = shared.plane.subscribe().borrow().clone();
    let steering =
        steer::steer(&snapshot, &shared.locator, &channel, address).ok_or(Error::NoChannel(channel))?;
    let headers = [(CACHE_CONTROL, "no-store"), (ACCESS_CONTROL_ALLOW_ORIGIN, "*")];
    Ok((headers, Json(steering)).into_response())
}

/// The caller's address: the last one in `X-Forwarded-For` that no proxy of ours added about another of ours.
fn client(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn client_of(peer: &str, forwarded: &[&'static str]) -> String {
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append("x-forwarded-for", http::HeaderValue::from_static(line));
        }
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        client(peer.parse().unwrap(), &headers, &trusted).to_string()
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
