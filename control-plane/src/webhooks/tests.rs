use super::*;

#[test]
fn a_url_is_https_at_a_public_address_unless_the_configuration_allows_more() {
    let strict = Config::default();
    let development = Config { private_addresses: true, ..Config::default() };
    let open = Config { allow_http: true, private_addresses: true, ..Config::default() };
    for (url, config, says) in [
        ("https://example.net/hooks?key=1", &strict, None),
        ("https://1.1.1.1:8443/", &strict, None),
        ("http://example.net/", &strict, Some("webhooks.allow_http")),
        ("http://127.0.0.1:1/", &strict, Some("webhooks.allow_http")),
        ("https://127.0.0.1/", &strict, Some("webhooks.private_addresses")),
        ("https://2130706433/", &strict, Some("127.0.0.1")),
        ("https://0x7f.1/", &strict, Some("127.0.0.1")),
        ("https://[::ffff:10.0.0.1]/", &strict, Some("webhooks.private_addresses")),
        ("https://169.254.169.254/latest", &strict, Some("webhooks.private_addresses")),
        ("https://anna:secret@example.net/", &strict, Some("password")),
        ("https://example.net/#part", &strict, Some("#")),
        ("ftp://example.net/", &strict, Some("https://")),
        ("example.net", &strict, Some("https://example.net/hooks")),
        ("data:text/plain,x", &strict, Some("https://example.net/hooks")),
        ("", &strict, Some("https://example.net/hooks")),
        ("http://127.0.0.1:1/", &development, None),
        ("http://localhost:1/", &development, None),
        ("http://example.net/", &development, Some("webhooks.allow_http")),
        ("http://10.0.0.1/", &open, None),
    ] {
        match (config.check(url), says) {
            (Ok(()), None) => {}
            (Err(problem), Some(says)) => assert!(problem.contains(says), "{url}: {problem}"),
            (other, _) => panic!("{url}: {other:?}"),
        }
    }
    let long = format!("https://example.net/{}", "x".repeat(2048));
    assert!(strict.check(&long).unwrap_err().contains("2048"));
}

#[test]
fn who_names_no_events_and_no_channels_is_told_of_nodes() {
    let spec = |events: &[Kind], channels: &[&str]| Spec {
        url: String::new(),
        label: String::new(),
        events: events.to_vec(),
        channels: channels.iter().map(|id| id.parse().unwrap()).collect(),
        enabled: true,
    };
    assert!(spec(&[], &[]).has_nodes() && spec(&[Kind::ChannelLive, Kind::NodeDown], &[]).has_nodes());
    assert!(!spec(&[], &["demo"]).has_nodes() && !spec(&[Kind::ChannelLive], &[]).has_nodes());
}
