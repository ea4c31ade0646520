//! Frames that no sane publisher sends.

use std::collections::VecDeque;
use std::time::Duration;

use proptest::prelude::*;

use super::world::{STARTED_AT, audio, video};
use super::*;
use crate::hls::parse;

/// A step of a hostile publisher: which rendition, how far time goes, and what kind of frame.
fn step() -> impl Strategy<Value = (usize, i64, i64, bool)> {
    let advance = prop_oneof![
        8 => 0..6000_i64,
        2 => 0..100_000_i64,
        1 => -1000..2_000_000_i64,
        1 => Just(0),
    ];
    (0..3_usize, advance, 0..12_000_i64, any::<bool>())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]
    #[test]
    fn no_sequence_of_frames_panics_or_makes_an_unreadable_playlist(
        steps in proptest::collection::vec(step(), 1..800),
    ) {
        let mut broadcast = Broadcast::new("b", STARTED_AT, Settings::default(), video("source", 720));
        broadcast.add_rendition(audio(48_000)).unwrap();
        broadcast.add_rendition(video("480p", 480)).unwrap();
        let mut times = [0; 2];
        // Of the source's frames, those that the rung has not had yet.
        let mut encoder = VecDeque::new();
        for (rendition, advance, reorder, keyframe) in steps {
            let data = Bytes::from_static(b"x");
            let refused = if rendition == 2 {
                let lost = usize::try_from(advance / 20_000).unwrap_or(0);
                encoder.drain(..lost.min(encoder.len()));
                let Some((pts, starts)) = encoder.pop_front() else { continue };
                broadcast.push("480p", Frame { dts: pts, pts, keyframe: starts, data })
            } else {
                times[rendition] += advance;
                let dts = times[rendition];
                let pts = if rendition == 1 { dts } else { dts + reorder };
                let outcome = broadcast.push(["source", "audio"][rendition], Frame { dts, pts, keyframe, data });
                if let (0, Ok(outcome)) = (rendition, &outcome) {
                    encoder.push_back((pts, outcome.starts_segment));
                }
                outcome
            };
            if let Err(error) = refused {
                prop_assert!(matches!(error, Error::Time { .. }), "{}", error);
            }
        }
        broadcast.end();
        for name in ["source", "audio", "480p"] {
            let Some(snapshot) = broadcast.playlist(name) else { continue };
            let text = std::str::from_utf8(snapshot.text()).unwrap();
            let playlist = parse::media(text).unwrap();
            prop_assert_eq!(&playlist, &snapshot.playlist);
            for segment in &playlist.segments {
                let rounded = (segment.duration + Duration::from_millis(500)).as_secs();
                prop_assert!(rounded <= u64::from(playlist.target_duration), "{} {:?}", name, segment);
            }
        }
    }
}
