use std::net::SocketAddr;

use nearcast_service::http::Protocol;
use nearcast_service::metrics::Registry;

use super::*;

fn audience() -> Audience {
    Audience::new(metrics::Metrics::register(&Registry::new()).audience)
}

fn visit(audience: &Audience, channel: &str, port: u16, query: &str, full: bool) -> Result<Visit> {
    let peer = Peer {
        address: SocketAddr::new(format!("192.0.2.{port}").parse().unwrap(), port),
        protocol: Protocol::H2,
        secure: true,
    };
    audience.visit(channel, &Admitted::default(), peer, Some(query), &HeaderMap::new(), full)
}

#[test]
fn viewers_are_counted_by_channel_and_by_what_they_play() {
    let audience = audience();
    let watch = |channel: &str, viewer, path: &str, query| {
        let visit = visit(&audience, channel, viewer, query, false).unwrap();
        let country = || [None, "CA".parse().ok(), "DE".parse().ok(), "DE".parse().ok()][usize::from(viewer)];
        audience.served(&visit, channel, path, country).unwrap().sent(1000);
    };
    for _ in 0..3 {
        watch("demo", 1, "/live/demo/b1/source/media.m3u8", "");
        watch("demo", 1, "/live/demo/b1/source/3.m4s", "");
        watch("demo", 2, "/live/demo/index.mpd", "CMCD=bl%3D2000%2Cmtp%3D9000%2Cbs");
        watch("other", 1, "/live/other/b1/source/3.m4s", "");
    }
    // Behind one address, but two players by their own account.
    watch("demo", 3, "/live/demo/index.m3u8", "CMCD=sid%3D%22a%22");
    watch("demo", 3, "/live/demo/index.m3u8", "CMCD=sid%3D%22b%22");
    assert_eq!(audience.viewers(), 5);
    audience.tick();
    let report = audience.report();
    let demo = &report[0];
    assert_eq!((demo.channel.as_str(), demo.hls, demo.dash, demo.other), ("demo", 3, 1, 0));
    assert_eq!((demo.viewer_seconds, demo.bytes), (4, 11_000));
    assert_eq!((demo.qoe.reports, demo.qoe.starved, demo.qoe.buffer_ms.mean()), (5, 3, Some(2000.0)));
    assert_eq!((report[1].channel.as_str(), report[1].other), ("other", 1));
    // Whoever watches two channels is a viewer of both.
    assert_eq!(serde_json::to_value(&demo.countries).unwrap(), serde_json::json!({ "CA": 1, "DE": 3 }));
    let told: Vec<_> = audience
        .countries()
        .into_iter()
        .map(|told| {
            (told.country.to_string(), told.viewers, told.viewer_seconds, told.bytes, told.qoe.reports)
        })
        .collect();
    assert_eq!(told, [("DE".into(), 3, 3, 5000, 5), ("CA".into(), 2, 2, 9000, 0)]);
}

#[test]
fn a_full_edge_goes_on_with_those_it_has() {
    let audience = audience();
    let seen = visit(&audience, "demo", 1, "", false).unwrap();
    audience.served(&seen, "demo", "/live/demo/index.m3u8", || None).unwrap();
    assert!(visit(&audience, "demo", 1, "", true).is_ok());
    assert!(matches!(visit(&audience, "demo", 2, "", true), Err(Error::Overloaded { .. })));
}

#[test]
fn names_that_nobody_is_given_anything_of_take_no_room() {
    let audience = audience();
    for name in 0..20_000 {
        visit(&audience, &format!("c{name}"), 1, "", false).unwrap();
    }
    assert_eq!((audience.viewers(), audience.channels.read().unwrap().len()), (0, 0));
    assert!(audience.countries().is_empty());
}
