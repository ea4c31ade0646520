//! A whole origin: real publishers in, what a player would fetch out.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

mod support;

use support::{CHANNEL, KEY, Origin, complaint, packets, segments, signal};

/// Two rungs that cost little.
const LADDER: &str = "[transcode]\npreset = \"ultrafast\"\non_demand = false\n\
    [[transcode.ladder]]\nname = \"240p\"\nheight = 240\nbitrate = 300000\n\
    [[transcode.ladder]]\nname = \"144p\"\nheight = 144\nbitrate = 150000\n";

const NO_LADDER: &str = "[transcode]\nenabled = false\n";

/// Values of a tag in a playlist.
fn tags<'a>(playlist: &'a str, tag: &str) -> Vec<&'a str> {
    playlist.lines().filter_map(|line| line.strip_prefix(tag)).collect()
}

#[test]
fn a_publisher_becomes_aligned_renditions_that_decode_and_end() {
    let origin = Origin::start(LADDER);
    assert_eq!(origin.get(&format!("/live/{CHANNEL}/index.m3u8")).status, 404);
    let publisher = origin.publish(KEY, 6, 60);
    origin.logged("a broadcast begins");

    // Asked before there is anything to play: the answer waits for it.
    let multivariant = origin.get(&format!("/live/{CHANNEL}/index.m3u8"));
    let text = multivariant.text();
    assert_eq!(multivariant.status, 200, "{text}");
    for expected in
        ["/source/", "/240p/", "/144p/", "/audio/", "RESOLUTION=1280x720", "RESOLUTION=426x240", "mp4a.40.2"]
    {
        assert!(text.contains(expected), "{expected} is missing in {text}");
    }
    assert!(multivariant.head.contains("content-type: application/vnd.apple.mpegurl"));
    let folder = origin.broadcast();

    // The part that is hinted comes whole, as soon as it exists.
    let live = origin.follow(&format!("{folder}/source"), 1);
    let hint = tags(&live, "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"")[0].trim_end_matches('"');
    let part = origin.get(&format!("{folder}/source/{hint}"));
    assert_eq!(part.status, 200);
    assert_eq!(&part.body[4..8], b"moof");
    let far = origin.get(&format!("{folder}/source/media.m3u8?_HLS_msn=99"));
    assert_eq!(far.status, 400, "{}", far.text());
    assert_eq!(origin.get(&format!("{folder}/source/99.m4s")).status, 404);
    assert_eq!(origin.request("POST", &format!("{folder}/source/media.m3u8")).status, 405);

    assert_eq!(complaint(publisher), "");
    origin.logged("a broadcast is over");
    let playlist = |rendition: &str| origin.get(&format!("{folder}/{rendition}/media.m3u8")).text();
    let source = playlist("source");
    assert!(segments(&source).len() >= 3, "{source}");
    for rendition in ["source", "240p", "144p", "audio"] {
        let text = playlist(rendition);
        assert!(text.ends_with("#EXT-X-ENDLIST\n"), "{rendition}: {text}");
        assert_eq!(segments(&text), segments(&source), "{rendition}");
        let packets = packets(&origin.download(&format!("{folder}/{rendition}"), &text));
        if rendition == "audio" {
            assert!(packets.len().abs_diff(6 * 44_100 / 1024) <= 3, "{} frames", packets.len());
            continue;
        }
        // A segment means the same time in every rendition, to the tick.
        let dates = tags(&text, "#EXT-X-PROGRAM-DATE-TIME:");
        assert_eq!(dates, tags(&source, "#EXT-X-PROGRAM-DATE-TIME:"), "{rendition}");
        assert_eq!(packets.len(), 180, "{rendition}");
        let keys: Vec<f64> =
            packets.iter().filter(|(_, key)| *key).map(|(time, _)| *time - packets[0].0).collect();
        assert_eq!(keys, [0.0, 2.0, 4.0], "{rendition}");
        assert_eq!(tags(&text, "#EXT-X-GAP"), [""; 0]);
    }
}

#[test]
fn who_may_not_publish_is_told_why_and_harms_nobody() {
    let origin = Origin::start(NO_LADDER);
    let told = complaint(origin.publish("wrong", 1, 30));
    assert!(told.contains("unknown stream key"), "{told}");

    let told = complaint(origin.publish_as(KEY, 1, &["-c:v", "flv1", "-c:a", "aac"]));
    assert!(told.contains("Sorenson H.263 is not supported"), "{told}");
    let told = complaint(origin.publish_as(KEY, 1, &["-vn", "-c:a", "libmp3lame"]));
    assert!(told.contains("MP3 is not supported"), "{told}");

    let first = origin.publish(KEY, 5, 30);
    origin.logged("a broadcast begins");
    let told = complaint(origin.publish(KEY, 1, 30));
    assert!(told.contains("channel demo is live from another encoder"), "{told}");
    let old = origin.broadcast();
    assert_eq!(complaint(first), "");
    origin.logged("a broadcast is over");
    let text = origin.get(&format!("{old}/source/media.m3u8")).text();
    assert_eq!(packets(&origin.download(&format!("{old}/source"), &text)).len(), 150);

    // Who comes back begins a new broadcast; the old one can be watched to its end.
    let again = origin.publish(KEY, 3, 30);
    origin.logged("a broadcast begins");
    let new = origin.broadcast();
    assert!(new > old, "{new} {old}");
    assert_eq!(origin.get(&format!("{old}/source/media.m3u8")).status, 200);
    assert_eq!(complaint(again), "");
}

#[test]
fn a_dead_transcoder_costs_nobody_anything() {
    let origin = Origin::start(&format!("[package]\nsegment = 1.0\n{LADDER}"));
    let publisher = origin.publish(KEY, 9, 30);
    origin.logged("a broadcast begins");
    let folder = origin.broadcast();
    let rung = format!("{folder}/240p");
    origin.follow(&rung, 1);
    let children = origin.children();
    assert_eq!(children.len(), 1, "one child per broadcast");
    signal(children[0], "KILL");
    let told = origin.logged("the transcoder stopped");
    assert!(told["message"].as_str().unwrap().contains("signal: 9"), "{told}");
    origin.logged("a transcoder starts");

    // The source and the sound go on as if nothing had been.
    for rendition in ["source", "audio"] {
        let text = origin.follow(&format!("{folder}/{rendition}"), 6);
        assert!(!text.contains("#EXT-X-GAP") && !text.contains("#EXT-X-DISCONTINUITY\n"), "{text}");
    }
    let text = origin.follow(&rung, 6);
    let dates = |text: &str| {
        tags(text, "#EXT-X-PROGRAM-DATE-TIME:").into_iter().map(String::from).collect::<Vec<_>>()
    };
    assert_eq!(dates(&text)[6], dates(&origin.follow(&format!("{folder}/source"), 6))[6]);
    assert!(!text.contains("#EXT-X-GAP"), "the next child goes on with the next picture: {text}");
    origin.bytes(&format!("{rung}/6.m4s"));

    // A drain ends the broadcast, then the process.
    let status = origin.stop();
    assert_eq!(status.code(), Some(0));
    complaint(publisher);
}
