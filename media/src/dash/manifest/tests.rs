use super::*;

pub(crate) fn rendition(name: &str, media: Media, codec: &str, segments: Segments) -> Rendition {
    let (name, codec, init) = (name.into(), codec.into(), "init.mp4".into());
    Rendition { name, codec, media, bandwidth: 800_000, independent: true, init, segments }
}

fn video(name: &str, height: u32, segments: &Segments) -> Rendition {
    let frame_rate = Some((30_000, 1001));
    let picture = Picture { width: height * 16 / 9, height, frame_rate };
    rendition(name, Media::Video(picture), "avc1.64001f", segments.clone())
}

fn manifest(segments: Segments) -> Manifest {
    let sound = Sound { sample_rate: 44_100, channels: 2 };
    let period = Period {
        first: 7,
        start: 90_000,
        end: None,
        media_start: 990_000,
        renditions: vec![
            video("source", 720, &segments),
            video("360p", 360, &segments),
            rendition("audio", Media::Audio(sound), "mp4a.40.2", segments),
        ],
    };
    Manifest {
        id: "b1".into(),
        started_at: 1_700_000_000_250,
        published_at: 1_700_000_004_500,
        ended: false,
        target_duration: Duration::from_secs(2),
        part_target: Duration::from_millis(500),
        window: Duration::from_secs(30),
        schemes: vec!["urn:x".into()],
        periods: vec![period],
    }
}

const COUNTED: Segments = Segments::Counted { duration: 180_180 };

/// The document without its namespaces.
fn text(manifest: &Manifest) -> String {
    let text = manifest.render();
    let (head, rest) = text.split_once("<MPD ").unwrap();
    assert_eq!(head, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let words = rest.split_inclusive('>').map(str::trim);
    words
        .map(|tag| {
            tag.split(' ').filter(|word| !word.starts_with("xmlns")).collect::<Vec<_>>().join(" ") + "\n"
        })
        .collect()
}

#[test]
fn regular_segments_are_counted_and_announced_when_their_first_part_is_there() {
    let text = text(&manifest(COUNTED));
    let expected = "\
        id=\"b1\" profiles=\"urn:mpeg:dash:profile:isoff-live:2011,urn:mpeg:dash:profile:cmaf:2019,\
        http://www.dashif.org/guidelines/low-latency-live-v5\" type=\"dynamic\" \
        availabilityStartTime=\"2023-11-14T22:13:20.250Z\" publishTime=\"2023-11-14T22:13:24.500Z\" \
        minimumUpdatePeriod=\"PT2S\" minBufferTime=\"PT0.5S\" timeShiftBufferDepth=\"PT30S\" \
        suggestedPresentationDelay=\"PT6S\" maxSegmentDuration=\"PT2S\"\n\
        <ServiceDescription id=\"0\">\n\
        <Latency min=\"1000\" max=\"6000\" target=\"2000\"/>\n\
        <PlaybackRate min=\"0.96\" max=\"1.04\"/>\n\
        </ServiceDescription>\n\
        <Period id=\"b1.7\" start=\"PT1S\">\n\
        <AdaptationSet id=\"0\" contentType=\"video\" segmentAlignment=\"true\" mimeType=\"video/mp4\" startWithSAP=\"1\">\n\
        <InbandEventStream schemeIdUri=\"urn:x\"/>\n\
        <Role schemeIdUri=\"urn:mpeg:dash:role:2011\" value=\"main\"/>\n\
        <Representation id=\"source\" bandwidth=\"800000\" width=\"1280\" height=\"720\" \
        frameRate=\"30000/1001\" codecs=\"avc1.64001f\">\n\
        <SegmentTemplate media=\"b1/$RepresentationID$/$Number$.m4s\" \
        initialization=\"b1/$RepresentationID$/init.mp4\" startNumber=\"7\" duration=\"180180\" \
        timescale=\"90000\" presentationTimeOffset=\"990000\" availabilityTimeOffset=\"1.502\" \
        availabilityTimeComplete=\"false\"/>\n\
        </Representation>\n";
    assert!(text.starts_with(expected), "{text}");
    let audio = "\
        <Representation id=\"audio\" bandwidth=\"800000\" audioSamplingRate=\"44100\" codecs=\"mp4a.40.2\">\n\
        <AudioChannelConfiguration schemeIdUri=\"urn:mpeg:dash:23003:3:audio_channel_configuration:2011\" \
        value=\"2\"/>\n";
    assert!(text.contains(audio), "{text}");
    let end = "</Period>\n<UTCTiming schemeIdUri=\"urn:mpeg:dash:utc:http-head:2014\" value=\"index.mpd\"/>\n</MPD>\n";
    assert!(text.ends_with(end), "{text}");
    assert_eq!(text.matches("<AdaptationSet ").count(), 2, "renditions of one codec are one choice: {text}");
}

#[test]
fn irregular_segments_are_listed_and_none_is_announced_before_it_is_whole() {
    let times = vec![(990_000, 180_000), (1_170_000, 180_000), (1_350_000, 100_000), (1_500_000, 100_000)];
    let text = text(&manifest(Segments::Listed { first: 9, times }));
    let timeline = "\
        startNumber=\"9\" timescale=\"90000\" presentationTimeOffset=\"990000\">\n\
        <SegmentTimeline>\n<S t=\"990000\" d=\"180000\" r=\"1\"/>\n<S d=\"100000\"/>\n<S t=\"1500000\" d=\"100000\"/>\n\
        </SegmentTimeline>\n";
    assert!(text.contains(timeline), "{text}");
    for low_latency in ["availabilityTime", "ServiceDescription", "low-latency"] {
        assert!(!text.contains(low_latency), "{low_latency}: {text}");
    }
    assert!(text.contains("minBufferTime=\"PT2S\""), "{text}");
}

#[test]
fn a_period_that_is_over_says_so_and_the_next_has_its_own_init_segment() {
    let mut manifest = manifest(COUNTED);
    manifest.periods[0].end = Some((12, 990_900));
    let mut next = manifest.periods[0].clone();
    next = Period { first: 12, start: 1_800_000, end: None, media_start: 2_700_000, ..next };
    next.renditions.iter_mut().for_each(|rendition| rendition.init = "init.1.mp4".into());
    manifest.periods.push(next);
    let text = text(&manifest);
    assert!(text.contains("<Period id=\"b1.7\" start=\"PT1S\" duration=\"PT10.01S\">"), "{text}");
    assert!(text.contains("startNumber=\"7\" endNumber=\"11\""), "{text}");
    assert!(text.contains("<Period id=\"b1.12\" start=\"PT20S\">"), "{text}");
    assert!(
        text.contains("initialization=\"b1/$RepresentationID$/init.1.mp4\" startNumber=\"12\""),
        "{text}"
    );
}

#[test]
fn at_the_end_it_stands_still() {
    let mut manifest = manifest(Segments::Listed { first: 9, times: vec![(990_000, 180_000)] });
    manifest.ended = true;
    manifest.periods[0].end = Some((10, 270_000));
    let text = text(&manifest);
    assert!(
        text.contains("type=\"static\"") && text.contains("mediaPresentationDuration=\"PT3S\""),
        "{text}"
    );
    for live in ["minimumUpdatePeriod", "timeShiftBufferDepth", "suggestedPresentationDelay", "UTCTiming"] {
        assert!(!text.contains(live), "{live}: {text}");
    }
}

#[test]
fn another_codec_is_another_set() {
    let mut manifest = manifest(COUNTED);
    manifest.periods[0].renditions[0].codec = "hvc1.1.6.L93.B0".into();
    assert_eq!(text(&manifest).matches("<AdaptationSet ").count(), 3);
}
