use std::sync::Arc;
use std::time::Duration;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::{Error, Kind, MAX_LEN, fuzz, media, multivariant, update};
use crate::hls::daterange::{DateRange, History, Value};
use crate::hls::delta::{self, Update};
use crate::hls::media::{ByteRange, Head, Hint, Map, Open, Part, Playlist, Report, Segment, ServerControl};
use crate::hls::multivariant::{
    self as variants, Audio, Captions, ClosedCaptions, IFrames, Steering, Variant,
};
use crate::hls::tag;

/// Playlists of other servers: what they say that we do not, we pass over.
const FOREIGN_LOW_LATENCY: &str = "#EXTM3U\r
# A comment\r
#EXT-X-TARGETDURATION:4\r
#EXT-X-VERSION:6\r
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.0,CAN-SKIP-UNTIL=24.0\r
#EXT-X-PART-INF:PART-TARGET=0.33334\r
#EXT-X-MEDIA-SEQUENCE:266\r
#EXT-X-PROGRAM-DATE-TIME:2019-02-14T02:13:36.106Z\r
#EXT-X-MAP:URI=\"init.mp4\",BYTERANGE=\"718@0\"\r
#EXT-X-KEY:METHOD=NONE\r
#EXT-X-DATERANGE:ID=\"splice-1\",START-DATE=\"2019-02-14T02:13:37Z\",PLANNED-DURATION=59.993,SCTE35-OUT=0xFC00,X-N= 2.50\r
#EXTINF:4.00008,a title, with a comma\r
fileSequence266.mp4\r
\r
#EXT-X-PART:DURATION=0.33334,URI=\"filePart267.0.mp4\",INDEPENDENT=YES,BYTERANGE=\"20000@0\"\r
#EXT-X-PART:DURATION=0.33334,URI=\"filePart267.1.mp4\",GAP=YES\r
#EXT-X-GAP\r
#EXT-X-BYTERANGE:100@5\r
#EXTINF:4,\r
fileSequence267.mp4\r
#EXT-X-PRELOAD-HINT:TYPE=MAP,URI=\"init2.mp4\"\r
#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"filePart268.0.mp4\",BYTERANGE-START=7\r
#EXT-X-RENDITION-REPORT:URI=\"../1M/waitForMSN.php\",LAST-MSN=267,LAST-PART=1\r
";

const FOREIGN_MULTIVARIANT: &str = r#"#EXTM3U
#EXT-X-VERSION:7
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="s",NAME="x",URI="s.m3u8"
#EXT-X-DEFINE:NAME="x",VALUE="y"
#EXT-X-CONTENT-STEERING:SERVER-URI="/steering",PATHWAY-ID="CDN-A"
#EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,GROUP-ID="c",NAME="English",LANGUAGE="en",INSTREAM-ID="SERVICE1"
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="English",LANGUAGE="en",DEFAULT=YES,AUTOSELECT=YES,CHANNELS="2/JOC",URI="a.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=2177116,AVERAGE-BANDWIDTH=2168183,CODECS="avc1.640020,mp4a.40.2",RESOLUTION=960x540,FRAME-RATE=59.94006,AUDIO="a",HDCP-LEVEL=NONE,CLOSED-CAPTIONS="c"
v5/prog_index.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=1,CLOSED-CAPTIONS=NONE,PATHWAY-ID="CDN-A",SUPPLEMENTAL-CODECS="dvh1.08.07/db4h"
v1/prog_index.m3u8
#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=187492,CODECS="avc1.64002a",RESOLUTION=1920x1080,URI="v7/iframe_index.m3u8"
"#;

#[test]
fn another_servers_low_latency_playlist_is_read() {
    let playlist = media(FOREIGN_LOW_LATENCY).unwrap();
    assert_eq!((playlist.target_duration, playlist.media_sequence), (4, 266));
    assert_eq!(playlist.part_target, Some(Duration::from_micros(333_340)));
    let [first, second] = &playlist.segments[..] else { panic!("two segments") };
    assert_eq!(first.head.program_date_time, Some(1_550_110_416_106));
    let map = first.head.map.as_ref().unwrap();
    assert_eq!(map.byte_range, Some(ByteRange { length: 718, offset: Some(0) }));
    assert_eq!(second.head.map.as_ref(), Some(map));
    assert_eq!((second.gap, second.parts.len()), (true, 2));
    assert_eq!(second.byte_range, Some(ByteRange { length: 100, offset: Some(5) }));
    assert!(second.parts[0].independent && second.parts[1].gap);
    assert_eq!(playlist.preload_hint.as_ref().map(|hint| hint.start), Some(7));
    assert_eq!(playlist.reports[0].last_part, Some(1));
    assert_eq!(playlist.last(), Some((267, Some(1))));
    let [splice] = &playlist.date_ranges[..] else { panic!("one date range") };
    assert_eq!(
        (splice.id.as_str(), splice.start, splice.ends()),
        ("splice-1", 1_550_110_417_000, 1_550_110_476_993)
    );
    let plain = |name: &str, value: &str| (name.to_owned(), Value::Plain(value.to_owned()));
    assert_eq!(splice.attributes, [plain("SCTE35-OUT", "0xFC00"), plain("X-N", "2.50")]);
}

#[test]
fn another_servers_multivariant_playlist_is_read() {
    let playlist = multivariant(FOREIGN_MULTIVARIANT).unwrap();
    assert_eq!(playlist.audio.len(), 1);
    assert_eq!(playlist.audio[0].channels, Some(2));
    assert_eq!(playlist.variants[0].resolution, Some((960, 540)));
    assert_eq!(playlist.variants[0].frame_rate, Some(59_940));
    assert_eq!(playlist.variants[0].uri, "v5/prog_index.m3u8");
    assert_eq!(playlist.variants[0].closed_captions, Some(ClosedCaptions::Group("c".into())));
    assert_eq!(playlist.variants[1].closed_captions, Some(ClosedCaptions::None));
    assert_eq!(playlist.variants[1].supplemental_codecs.as_deref(), Some("dvh1.08.07/db4h"));
    assert_eq!(playlist.captions[0].instream_id, "SERVICE1");
    assert_eq!(playlist.steering.as_ref().unwrap().server, "/steering");
    assert_eq!(playlist.i_frames[0].uri, "v7/iframe_index.m3u8");
    assert!(playlist.render().contains("#EXT-X-VERSION:7\n"), "services need version 7");
}

#[test]
fn an_error_names_the_line_and_the_cause() {
    let error = media("#EXTM3U\n#EXT-X-TARGETDURATION:2\n\n#EXT-X-PART:DURATION=1\n").unwrap_err();
    assert_eq!(error.line, 4);
    assert_eq!(error.kind, Kind::Attributes { tag: "EXT-X-PART", cause: tag::Error::Missing("URI") });
    for (text, line, kind) in [
        ("", 1, Kind::NotAPlaylist),
        ("<html>", 1, Kind::NotAPlaylist),
        ("#EXTM3U\n", 1, Kind::Missing("EXT-X-TARGETDURATION")),
        ("#EXTM3U\na.m4s", 2, Kind::NoDuration),
        ("#EXTM3U\n#EXTINF:-1,", 2, Kind::Tag("EXTINF")),
        ("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:1,", 3, Kind::Missing("a URI after EXTINF")),
        ("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1", 2, Kind::OtherKind("EXT-X-STREAM-INF")),
        ("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-SKIP:SKIPPED-SEGMENTS=2", 3, Kind::Delta),
    ] {
        assert_eq!(media(text), Err(Error { line, kind }), "{text:?}");
    }
    assert_eq!(media(&" ".repeat(MAX_LEN + 1)).unwrap_err().kind, Kind::TooLong);
    assert_eq!(multivariant("#EXTM3U\na").unwrap_err().kind, Kind::NoStreamInf);
}

#[test]
fn a_delta_that_does_not_fit_is_refused() {
    let update = update(
        "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:5\n#EXT-X-SKIP:SKIPPED-SEGMENTS=18446744073709551615\n",
    );
    let Ok(Update::Delta(delta)) = update else { panic!("a delta") };
    assert!(delta.clone().apply(&Playlist::default()).is_err());
    assert!(delta.apply(&Playlist { media_sequence: 6, ..Playlist::default() }).is_err());
}

prop_compose! {
    fn uri()(uri in "[a-zA-Z0-9_./?=&,%-]{1,12}") -> String { uri }
}

fn duration() -> impl Strategy<Value = Duration> {
    (0..20_u64, 0..1_000_000_000_u32).prop_map(|(seconds, nanos)| Duration::new(seconds, nanos))
}

fn range() -> impl Strategy<Value = Option<ByteRange>> {
    option::weighted(0.1, (any::<u64>(), option::of(any::<u64>())))
        .prop_map(|range| range.map(|(length, offset)| ByteRange { length, offset }))
}

prop_compose! {
    fn a_part()(
        duration in duration(), uri in uri(), byte_range in range(), independent: bool, gap: bool,
    ) -> Part {
        Part { duration, uri, byte_range, independent, gap }
    }
}

prop_compose! {
    /// The map is set later: once there is one, there always is.
    fn a_head()(discontinuity: bool, program_date_time in option::of(0..4_102_444_800_000_u64)) -> Head {
        Head { discontinuity, map: None, program_date_time }
    }
}

prop_compose! {
    fn a_segment()(
        head in a_head(), duration in duration(), uri in uri(), byte_range in range(), gap: bool,
        parts in vec(a_part(), 0..4),
    ) -> Segment {
        Segment { head, duration, uri, byte_range, gap, parts }
    }
}

prop_compose! {
    fn a_control()(
        can_block_reload: bool, can_skip_until in option::of(duration()), can_skip_dateranges: bool,
        hold_back in option::of(duration()), part_hold_back in option::of(duration()),
    ) -> ServerControl {
        ServerControl { can_block_reload, can_skip_until, can_skip_dateranges, hold_back, part_hold_back }
    }
}

prop_compose! {
    fn a_range()(
        id in "[a-z0-9]{1,2}", class in option::of("[a-z.]{1,9}"), start in 0..4_102_444_800_000_u64,
        end in option::of(0..4_102_444_800_000_u64), duration in option::of(duration()),
        planned_duration in option::of(duration()), cue in option::of("PRE|POST,ONCE"), end_on_next: bool,
        attributes in vec(("(X|SCTE35)-[A-Z0-9-]{1,5}", "[^\"\r\n]{0,6}", "[0-9A-Fx.]{1,6}", any::<bool>()), 0..3),
    ) -> DateRange {
        let attributes = attributes.into_iter().map(|(name, text, plain, quoted)| {
            (name, if quoted { Value::Text(text) } else { Value::Plain(plain) })
        });
        let attributes = attributes.collect();
        DateRange { id, class, start, end, duration, planned_duration, cue, end_on_next, attributes }
    }
}

/// Ranges of which no two have one id.
fn ranges(prefix: &'static str) -> impl Strategy<Value = Vec<Arc<DateRange>>> {
    vec(a_range(), 0..4).prop_map(move |ranges| {
        let named = |(index, range)| Arc::new(DateRange { id: format!("{prefix}{index}"), ..range });
        ranges.into_iter().enumerate().map(named).collect()
    })
}

prop_compose! {
    fn a_playlist()(
        numbers in (any::<u32>(), 0..1_000_000_u64, any::<u64>(), any::<bool>(), any::<bool>(), any::<bool>()),
        date_ranges in ranges("r"),
        server_control in a_control(),
        part_target in option::of(duration()),
        segments in vec(a_segment(), 0..12),
        open in option::of((a_head(), vec(a_part(), 1..4))),
        hint in option::of((uri(), any::<u64>(), option::of(any::<u64>()))),
        reports in vec((uri(), any::<u64>(), option::of(any::<u32>())), 0..3),
        maps in option::of((uri(), uri(), range(), 0..12_usize)),
    ) -> Playlist {
        let mut open = open.map(|(head, parts)| Open { head, parts });
        let mut segments = segments;
        if let Some((before, after, byte_range, at)) = maps {
            let (before, after) = [before, after].map(|uri| Arc::new(Map { uri, byte_range })).into();
            let heads = segments.iter_mut().map(|segment| &mut segment.head);
            let heads = heads.chain(open.iter_mut().map(|open| &mut open.head));
            heads.enumerate().for_each(|(i, head)| {
                head.map = Some(Arc::clone(if i < at { &before } else { &after }));
            });
        }
        Playlist {
            target_duration: numbers.0,
            server_control,
            part_target,
            independent_segments: numbers.3,
            i_frames_only: numbers.5,
            date_ranges,
            media_sequence: numbers.1,
            discontinuity_sequence: numbers.2,
            segments: segments.into_iter().map(Arc::new).collect(),
            open,
            preload_hint: hint.map(|(uri, start, length)| Hint { uri, start, length }),
            reports: reports
                .into_iter()
                .map(|(uri, last_msn, last_part)| Report { uri, last_msn, last_part })
                .collect(),
            ended: numbers.4,
        }
    }
}

prop_compose! {
    fn a_variant()(
        uri in uri(), bandwidth: u64, average_bandwidth: Option<u64>, text in option::of(uri()),
        resolution: Option<(u32, u32)>, rate: Option<u32>, captions: Option<bool>,
    ) -> Variant {
        let group = |text: &Option<String>| ClosedCaptions::Group(text.clone().unwrap_or_default());
        Variant {
            uri, bandwidth, average_bandwidth, resolution,
            codecs: text.clone(),
            supplemental_codecs: text.clone(),
            frame_rate: rate.map(|rate| rate % 1_000_000),
            audio: text.clone(),
            closed_captions: captions.map(|some| if some { group(&text) } else { ClosedCaptions::None }),
            pathway: text,
        }
    }
}

prop_compose! {
    fn a_multivariant()(
        independent_segments: bool,
        steering in option::of((uri(), option::of(uri()))),
        audio in vec((uri(), uri(), option::of(uri()), any::<bool>(), any::<bool>(), any::<Option<u32>>()), 0..3),
        captions in vec((uri(), uri(), uri(), option::of(uri()), any::<bool>(), any::<bool>()), 0..3),
        variants in vec(a_variant(), 0..4),
        i_frames in vec(a_variant(), 0..3),
    ) -> variants::Playlist {
        variants::Playlist {
            independent_segments,
            steering: steering.map(|(server, pathway)| Steering { server, pathway }),
            audio: audio.into_iter().map(|(group, name, uri, default, autoselect, channels)| {
                Audio { group, name, language: uri.clone(), uri, default, autoselect, channels }
            }).collect(),
            captions: captions.into_iter().map(|(group, name, instream_id, language, default, autoselect)| {
                Captions { group, name, instream_id, language, default, autoselect }
            }).collect(),
            variants,
            i_frames: i_frames.into_iter().map(|like| IFrames {
                uri: like.uri,
                bandwidth: like.bandwidth,
                average_bandwidth: like.average_bandwidth,
                codecs: like.codecs,
                supplemental_codecs: like.supplemental_codecs,
                resolution: like.resolution,
                pathway: like.pathway,
            }).collect(),
        }
    }
}

proptest! {
    #[test]
    fn a_media_playlist_comes_back_from_its_text(playlist in a_playlist()) {
        prop_assert_eq!(media(&playlist.render()).unwrap(), playlist);
    }

    #[test]
    fn a_delta_makes_the_old_playlist_the_new_one(
        new in a_playlist(), gone in 0..4_usize, since in 0..12_usize,
    ) {
        let mut new = new;
        // Parts are listed near the end only, and never where a delta may skip.
        let skipped = delta::skippable(&new);
        for segment in &mut new.segments[..skipped] {
            Arc::make_mut(segment).parts.clear();
        }
        // An older playlist that still has some more at its beginning and ends anywhere after the skipped ones.
        let mut old = new.clone();
        old.segments.truncate(skipped + since);
        let filler = Arc::new(Segment { uri: "gone".into(), ..Segment::default() });
        let gone = gone.min(usize::try_from(old.media_sequence).unwrap());
        old.media_sequence -= gone as u64;
        old.segments.splice(0..0, std::iter::repeat_n(filler, gone));

        let applied = update(&new.render_delta()).unwrap().apply(Some(&old));
        prop_assert_eq!(applied.as_ref(), Ok(&new));
        // The second version leaves out the ranges that were there before what is skipped.
        let applied = update(&new.render_delta_v2(&History::default())).unwrap().apply(Some(&old));
        prop_assert_eq!(applied.is_ok_and(|now| now.segments == new.segments), true);
    }

    #[test]
    fn a_delta_of_date_ranges_makes_the_old_ones_the_new_ones(
        new in a_playlist(), gone in ranges("g"), since in 0..12_usize,
        long_there in ranges("a"), lately in ranges("b"), now in ranges("c"),
    ) {
        let mut new = new;
        new.server_control.can_skip_dateranges = true;
        let skipped = delta::skippable(&new);
        for segment in &mut new.segments[..skipped] {
            Arc::make_mut(segment).parts.clear();
        }
        let mut old = new.clone();
        old.segments.truncate(skipped + since);
        let ancient = Playlist { media_sequence: 0, date_ranges: long_there.clone(), ..Playlist::default() };
        old.date_ranges = [&long_there[..], &gone, &lately].concat();
        new.date_ranges = [&long_there[..], &lately, &now].concat();
        let mut history = History::default();
        [&ancient, &old, &new].into_iter().for_each(|playlist| history.update(playlist));

        let text = new.render_delta_v2(&history);
        if skipped > 0 && new.media_sequence > 0 {
            prop_assert!(text.contains("#EXT-X-VERSION:10"));
            prop_assert_eq!(text.matches("#EXT-X-DATERANGE").count(), lately.len() + now.len());
        }
        prop_assert_eq!(update(&text).unwrap().apply(Some(&old)), Ok(new));
    }

    #[test]
    fn a_multivariant_playlist_comes_back_from_its_text(playlist in a_multivariant()) {
        prop_assert_eq!(multivariant(&playlist.render()).unwrap(), playlist);
    }

    #[test]
    fn nothing_makes_the_reader_panic(
        playlist in a_playlist(), cut in any::<usize>(), at in any::<usize>(), bytes in vec(any::<u8>(), 0..6),
    ) {
        for seed in [FOREIGN_LOW_LATENCY, FOREIGN_MULTIVARIANT, &playlist.render_delta()] {
            let mut text = seed.as_bytes().to_vec();
            let at = at % text.len();
            let end = at + cut % (text.len() - at).min(16);
            text.splice(at..end, bytes.iter().copied());
            fuzz(&text);
        }
    }
}
