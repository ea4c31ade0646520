use nearcast_media::hls::media::Map;
use nearcast_media::hls::parse;

use super::*;

/// A live playlist that lists segments `from` to `end`, of 2 s each.
fn live(from: u64, end: u64, map: &str) -> Playlist {
    let map = Arc::new(Map { uri: map.into(), byte_range: None });
    let segment = |msn: u64| {
        let head = Head {
            map: Some(Arc::clone(&map)),
            program_date_time: Some(1_785_585_600_000 + 2000 * msn),
            ..Head::default()
        };
        let uri = format!("{msn}.m4s");
        Arc::new(Segment { head, duration: Duration::from_secs(2), uri, ..Segment::default() })
    };
    Playlist {
        target_duration: 2,
        media_sequence: from,
        independent_segments: true,
        segments: (from..end).map(segment).collect(),
        ..Playlist::default()
    }
}

/// Stores whatever comes next, until nothing does; says what that was.
fn store_all(recording: &mut Recording) -> Vec<String> {
    let mut stored = Vec::new();
    loop {
        let jobs = recording.next();
        if jobs.is_empty() {
            return stored;
        }
        for job in jobs {
            recording.stored(&job);
            stored.push(format!("{}/{}", job.rendition, job.file));
        }
    }
}

fn playlist(recording: &mut Recording, rendition: &str, complete: bool) -> Playlist {
    let texts = recording.playlists(complete);
    let (_, text) = texts.iter().find(|(name, _)| name == rendition).unwrap();
    parse::media(text).unwrap()
}

#[test]
fn everything_is_stored_once_and_a_map_before_what_needs_it() {
    let mut recording = Recording::new("source");
    recording.see("source", &live(0, 2, "init.mp4"));
    recording.see("audio", &live(0, 1, "init.mp4"));
    assert_eq!(
        store_all(&mut recording),
        ["audio/init.mp4", "source/init.mp4", "audio/0.m4s", "source/0.m4s", "source/1.m4s"]
    );
    recording.see("source", &live(1, 3, "init.mp4"));
    assert_eq!(store_all(&mut recording), ["source/2.m4s"]);
    let source = playlist(&mut recording, "source", false);
    assert_eq!(source.segments, live(0, 3, "init.mp4").segments);
    assert!(!source.ended && recording.playlists(false).is_empty());
    recording.end();
    assert!(playlist(&mut recording, "source", true).ended);
}

#[test]
fn what_could_not_be_kept_is_a_gap_of_the_same_length() {
    let mut recording = Recording::new("source");
    recording.see("source", &live(0, 3, "init.mp4"));
    let init = recording.next().remove(0);
    recording.stored(&init);
    recording.lost("source");
    assert_eq!(store_all(&mut recording), ["source/1.m4s", "source/2.m4s"]);
    let source = playlist(&mut recording, "source", false);
    let gaps: Vec<bool> = source.segments.iter().map(|segment| segment.gap).collect();
    assert_eq!(gaps, [true, false, false]);
    assert_eq!(source.duration(), Duration::from_secs(6));
    assert_eq!(recording.pending(), 0);
}

#[test]
fn what_was_a_gap_live_is_not_asked_for() {
    let mut recording = Recording::new("source");
    let mut with_gap = live(0, 3, "init.mp4");
    Arc::make_mut(&mut with_gap.segments[1]).gap = true;
    recording.see("source", &with_gap);
    assert_eq!(store_all(&mut recording), ["source/init.mp4", "source/0.m4s", "source/2.m4s"]);
    assert!(playlist(&mut recording, "source", false).segments[1].gap);
}

#[test]
fn a_rendition_that_came_late_and_left_early_lasts_as_long_as_the_leader() {
    let mut recording = Recording::new("source");
    recording.see("source", &live(0, 3, "init.mp4"));
    recording.see("480p", &live(2, 3, "init.mp4"));
    store_all(&mut recording);
    recording.see("source", &live(3, 6, "init.mp4"));
    store_all(&mut recording);
    recording.end();
    let rung = playlist(&mut recording, "480p", true);
    let gaps: Vec<bool> = rung.segments.iter().map(|segment| segment.gap).collect();
    assert_eq!(gaps, [true, true, false, true, true, true]);
    assert_eq!(rung.duration(), Duration::from_secs(12));
    assert_eq!(rung.segments[4].head.program_date_time, Some(1_785_585_608_000));
}

#[test]
fn a_new_map_and_its_discontinuity_are_kept_as_they_were_live() {
    let mut recording = Recording::new("source");
    recording.see("source", &live(0, 1, "init.mp4"));
    let mut changed = live(1, 2, "init.mp4");
    let head = &mut Arc::make_mut(&mut changed.segments[0]).head;
    head.discontinuity = true;
    head.map = Some(Arc::new(Map { uri: "init.1.mp4".into(), byte_range: None }));
    recording.see("source", &changed);
    assert_eq!(
        store_all(&mut recording),
        ["source/init.mp4", "source/0.m4s", "source/init.1.mp4", "source/1.m4s"]
    );
    assert_eq!(playlist(&mut recording, "source", false).segments[1], changed.segments[0]);
}

#[test]
fn only_what_can_be_played_is_in_the_multivariant_playlist_and_names_are_relative_to_it() {
    let mut recording = Recording::new("source");
    recording.see("source", &live(0, 1, "init.mp4"));
    recording.see("audio", &live(0, 1, "init.mp4"));
    store_all(&mut recording);
    let variant = |name: &str, audio: &str| multivariant::Variant {
        uri: format!("b1/{name}/media.m3u8"),
        bandwidth: 1,
        audio: Some(audio.to_owned()),
        ..multivariant::Variant::default()
    };
    let audio = |name: &str| multivariant::Audio {
        group: name.to_owned(),
        uri: Some(format!("b1/{name}/media.m3u8")),
        ..multivariant::Audio::default()
    };
    let live = multivariant::Playlist {
        variants: vec![variant("source", "audio"), variant("source", "audio-aac"), variant("480p", "audio")],
        audio: vec![audio("audio"), audio("audio-aac")],
        i_frames: vec![multivariant::IFrames {
            uri: "b1/source/iframe.m3u8".to_owned(),
            ..multivariant::IFrames::default()
        }],
        ..multivariant::Playlist::default()
    };
    let here = recording.multivariant(live, "b1");
    assert_eq!(here.variants.iter().map(|variant| &variant.uri).collect::<Vec<_>>(), ["source/media.m3u8"]);
    assert_eq!(here.audio.len(), 1);
    assert_eq!(here.audio[0].uri.as_deref(), Some("audio/media.m3u8"));
    assert!(!here.render().contains("iframe"), "{}", here.render());
}
