use std::time::Duration;

use nearcast_media::dash::manifest::{Manifest, Media, Period, Rendition, Segments};
use nearcast_media::{Picture, Sound};

use super::check;

fn rendition(name: &str, codec: &str, media: Media, segments: &Segments) -> Rendition {
    Rendition {
        name: name.into(),
        codec: codec.into(),
        media,
        bandwidth: 1_000_000,
        independent: true,
        init: "init.mp4".into(),
        segments: segments.clone(),
    }
}

fn manifest(segments: &Segments) -> Manifest {
    let picture = Picture { width: 640, height: 360, frame_rate: Some((30_000, 1001)) };
    let renditions = vec![
        rendition("source", "avc1.64001f", Media::Video(picture), segments),
        rendition("360p", "avc1.64001e", Media::Video(picture), segments),
        rendition(
            "hevc",
            "hvc1.1.6.L93.B0",
            Media::Video(Picture { frame_rate: Some((25, 1)), ..picture }),
            segments,
        ),
        rendition("audio", "mp4a.40.2", Media::Audio(Sound { sample_rate: 44_100, channels: 2 }), segments),
    ];
    Manifest {
        id: "01arz3ndek".into(),
        started_at: 1_700_000_000_250,
        published_at: 1_700_000_004_500,
        ended: false,
        target_duration: Duration::from_secs(2),
        part_target: Duration::from_millis(333),
        window: Duration::from_secs(30),
        schemes: vec!["urn:x".into()],
        periods: vec![Period { first: 3, start: 45, end: None, media_start: 900_045, renditions }],
    }
}

const COUNTED: Segments = Segments::Counted { duration: 180_180 };

fn listed() -> Segments {
    let times = vec![(900_045, 180_000), (1_080_045, 180_000), (1_260_045, 90_000), (1_400_000, 90_000)];
    Segments::Listed { first: 3, times }
}

#[test]
fn what_we_render_keeps_the_rules() {
    let (counted, listed) = (manifest(&COUNTED), manifest(&listed()));
    let mut ended = listed.clone();
    (ended.ended, ended.periods[0].end) = (true, Some((7, 1_490_000)));
    let mut switched = counted.clone();
    switched.periods[0].end = Some((10, 1_261_305));
    let period = Period { first: 10, start: 1_261_305, media_start: 2_161_305, ..listed.periods[0].clone() };
    switched.periods.push(period);
    for (name, manifest) in
        [("counted", counted), ("listed", listed), ("ended", ended), ("switched", switched)]
    {
        let text = manifest.render();
        assert!(check(&text).is_empty(), "{name}:\n{}\n{text}", check(&text));
    }
}

/// Nothing is checked by a validator that finds nothing: each change to a good manifest breaks a rule of its own.
#[test]
fn every_rule_finds_what_breaks_it() {
    let counted = manifest(&COUNTED).render();
    let listed = manifest(&listed()).render();
    let cases = [
        (&counted, "<Period ", "<Periode ", "no XML"),
        (&counted, "schema:mpd:2011", "schema:mpd:2001", "another namespace"),
        (&counted, "type=\"dynamic\"", "type=\"live\"", "is no Type"),
        (&counted, "minBufferTime=\"PT0.333S\"", "", "@minBufferTime is missing"),
        (&counted, "publishTime=\"2023-11-14T22:13:24.500Z\"", "", "@publishTime is missing in a live one"),
        (&counted, "minimumUpdatePeriod=\"PT2S\"", "", "@minimumUpdatePeriod is missing"),
        (&counted, "type=\"dynamic\"", "type=\"static\"", "static, and yet it is updated"),
        (&counted, "PT30S", "30", "is no Duration"),
        (&counted, "start=\"PT0.0005S\"", "", "@start is missing"),
        (&counted, "<Latency ", "<Latency referenceId=\"7\" ", "refers to no ProducerReferenceTime"),
        (&counted, "<Representation id=\"360p\"", "<Representation id=\"source\"", "have one @id"),
        (&counted, "<AdaptationSet id=\"1\"", "<AdaptationSet id=\"0\"", "have one @id"),
        (&counted, " mimeType=\"audio/mp4\"", " mimeType=\"video/mp4\"", "audio of type"),
        (&counted, " bandwidth=\"1000000\"", "", "@bandwidth is missing"),
        (&counted, "frameRate=\"30000/1001\"", "frameRate=\"29.97\"", "is no FrameRate"),
        (&counted, "frameRate=\"30000/1001\"", "", "video without @frameRate"),
        (&counted, "$Number$", "$Time$", "unknown identifier"),
        (&counted, "media=\"01", "media=\"/01", "is not relative"),
        (&counted, "availabilityTimeOffset=\"1.669\"", "", "announced early, or as incomplete"),
        (&counted, "duration=\"180180\"", "duration=\"2.002\"", "is no Unsigned"),
        (&counted, "duration=\"180180\"", "", "one of both"),
        (&counted, "<Role ", "<Rolle ", "Rolle does not belong there"),
        (&counted, " segmentAlignment=\"true\"", " segmentalignment=\"true\"", "there is no attribute"),
        (&listed, "<S t=\"900045\" d", "<S d", "has no time"),
        (&listed, "<S t=\"1400000\"", "<S t=\"1300000\"", "overlaps"),
        (&listed, "d=\"90000\"", "d=\"-1\"", "is no Unsigned"),
    ];
    for (text, from, to, found) in cases {
        assert!(text.contains(from), "{from} is not in {text}");
        let broken = text.replacen(from, to, 1);
        let findings = check(&broken).to_string();
        assert!(findings.contains(found), "{from} -> {to}: {findings}");
    }
    // Out of order.
    let timing = counted.rfind("<UTCTiming").unwrap();
    let end = counted.rfind("</MPD>").unwrap();
    let mut moved = counted.clone();
    moved.replace_range(timing..end, "");
    let moved = moved.replacen("<Period ", &format!("{}<Period ", &counted[timing..end]), 1);
    assert!(check(&moved).to_string().contains("Period is out of order"), "{}", check(&moved));
}
