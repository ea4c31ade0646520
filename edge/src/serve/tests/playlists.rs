//! Keyframe lists and date ranges, followed and served again.

use http::{Method, StatusCode};
use nearcast_media::hls::parse;

use super::path;
use crate::testing::{Edge, Origin, media};

#[tokio::test]
async fn keyframe_lists_are_followed_like_any_playlist_and_their_ranges_are_served() {
    let origin = Origin::start(10, 0);
    let edge = Edge::start(&[origin.url()]).await;
    let list = edge.get(&path("iframe.m3u8")).await.text().to_owned();
    assert!(
        list.contains("#EXT-X-I-FRAMES-ONLY\n") && list.contains("#EXT-X-DATERANGE:ID=\"at-8\""),
        "{list}"
    );
    let next = path("iframe.m3u8?_HLS_msn=10");
    let waiting = edge.get(&next);
    let publishing = async { (0..4).for_each(|_| origin.publish()) };
    let (answer, ()) = tokio::join!(waiting, publishing);
    assert!(answer.text().contains("#EXT-X-BYTERANGE:100@10\n#EXTINF:2.0,\n10.m4s\n"), "{}", answer.text());
    assert!(edge.get(&path("iframe.m3u8?_HLS_skip=v2")).await.text().contains("#EXT-X-SKIP:"));
    assert_eq!(origin.hits()[&path("iframe.m3u8")], 1, "one chain, whoever asks");
    assert_eq!(edge.get(&path("iframe.m3u8?_HLS_msn=99")).await.status, StatusCode::BAD_REQUEST);
    let key = edge.ask(Method::GET, &path("9.m4s"), &[("range", "bytes=10-109")]).await;
    assert_eq!(key.status, StatusCode::PARTIAL_CONTENT);
    assert_eq!(key.body, media(&path("9.m4s"))[10..110]);
}

#[tokio::test]
async fn date_ranges_come_through_whole_and_in_deltas() {
    let origin = Origin::start(20, 0);
    let edge = Edge::start(&[origin.url()]).await;
    let mut had = parse::media(edge.get(&path("media.m3u8")).await.text()).unwrap();
    assert_eq!(had.date_ranges.len(), 6);
    for step in 0..40 {
        origin.publish();
        let (end, open) = (20 + (step + 1) / 4, (step + 1) % 4);
        let directives =
            if open > 0 { format!("{end}&_HLS_part={}", open - 1) } else { format!("{}", end - 1) };
        let ask = async |skip: &str| {
            edge.get(&path(&format!("media.m3u8?_HLS_msn={directives}{skip}"))).await.text().to_owned()
        };
        let whole = parse::media(&ask("").await).unwrap();
        let text = ask("&_HLS_skip=v2").await;
        assert!(
            text.contains("#EXT-X-VERSION:10\n") && text.contains("RECENTLY-REMOVED-DATERANGES=\""),
            "{text}"
        );
        if step > 32 {
            assert!(text.matches("#EXT-X-DATERANGE").count() < whole.date_ranges.len(), "{text}");
        }
        assert_eq!(parse::update(&text).unwrap().apply(Some(&had)).as_ref(), Ok(&whole));
        assert_eq!(
            parse::update(&ask("&_HLS_skip=YES").await).unwrap().apply(Some(&had)).as_ref(),
            Ok(&whole)
        );
        had = whole;
    }
}
