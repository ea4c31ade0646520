use super::*;

fn segment(msn: u64, parts: usize) -> Arc<Segment> {
    Arc::new(Segment {
        head: head(msn),
        duration: Duration::from_secs(2),
        uri: format!("{msn}.m4s"),
        parts: (0..parts).map(|part| self::part(msn, part)).collect(),
        ..Segment::default()
    })
}

fn head(msn: u64) -> Head {
    Head {
        discontinuity: msn == 41,
        map: Some(Arc::new(Map { uri: "init.mp4".into(), byte_range: None })),
        program_date_time: Some(1_785_585_600_000 + 2000 * (msn - 40)),
    }
}

fn part(msn: u64, part: usize) -> Part {
    Part {
        duration: Duration::from_millis(500),
        uri: format!("{msn}.{part}.m4s"),
        independent: part == 0,
        ..Part::default()
    }
}

fn playlist() -> Playlist {
    Playlist {
        target_duration: 2,
        server_control: ServerControl {
            can_block_reload: true,
            can_skip_until: Some(Duration::from_secs(12)),
            can_skip_dateranges: false,
            hold_back: Some(Duration::from_secs(6)),
            part_hold_back: Some(Duration::from_millis(1500)),
        },
        part_target: Some(Duration::from_millis(500)),
        independent_segments: true,
        i_frames_only: false,
        date_ranges: Vec::new(),
        media_sequence: 40,
        discontinuity_sequence: 1,
        segments: vec![segment(40, 0), segment(41, 2)],
        open: Some(Open { head: head(42), parts: vec![part(42, 0)] }),
        preload_hint: Some(Hint { uri: "42.1.m4s".into(), ..Hint::default() }),
        reports: vec![Report { uri: "../audio/media.m3u8".into(), last_msn: 42, last_part: Some(0) }],
        ended: false,
    }
}

#[test]
fn a_live_window_reads_as_the_draft_writes_it() {
    let expected = r#"#EXTM3U
#EXT-X-VERSION:6
#EXT-X-TARGETDURATION:2
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=12.0,HOLD-BACK=6.0,PART-HOLD-BACK=1.5
#EXT-X-PART-INF:PART-TARGET=0.5
#EXT-X-MEDIA-SEQUENCE:40
#EXT-X-DISCONTINUITY-SEQUENCE:1
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MAP:URI="init.mp4"
#EXT-X-PROGRAM-DATE-TIME:2026-08-01T12:00:00.000Z
#EXTINF:2.0,
40.m4s
#EXT-X-DISCONTINUITY
#EXT-X-PROGRAM-DATE-TIME:2026-08-01T12:00:02.000Z
#EXT-X-PART:DURATION=0.5,URI="41.0.m4s",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.5,URI="41.1.m4s"
#EXTINF:2.0,
41.m4s
#EXT-X-PROGRAM-DATE-TIME:2026-08-01T12:00:04.000Z
#EXT-X-PART:DURATION=0.5,URI="42.0.m4s",INDEPENDENT=YES
#EXT-X-PRELOAD-HINT:TYPE=PART,URI="42.1.m4s"
#EXT-X-RENDITION-REPORT:URI="../audio/media.m3u8",LAST-MSN=42,LAST-PART=0
"#;
    assert_eq!(playlist().render(), expected);
}

#[test]
fn an_ended_playlist_says_so_and_hints_at_nothing() {
    let ended = Playlist { open: None, preload_hint: None, ended: true, ..playlist() };
    assert!(ended.render().ends_with("#EXT-X-ENDLIST\n"));
}

#[test]
fn a_delta_skips_only_what_lies_beyond_the_boundary() {
    let mut playlist = playlist();
    assert_eq!(playlist.render_delta(), playlist.render());
    playlist.segments = (40..50).map(|msn| segment(msn, if msn > 47 { 4 } else { 0 })).collect();
    playlist.open = None;
    // 20 s listed: segments 40, 41 and 42 end 18, 16 and 14 s from the end, 43 exactly 12 s.
    let delta = playlist.render_delta();
    assert!(delta.contains("#EXT-X-VERSION:9\n#EXT"), "{delta}");
    assert!(delta.contains("#EXT-X-MEDIA-SEQUENCE:40\n"), "{delta}");
    assert!(delta.contains("#EXT-X-SKIP:SKIPPED-SEGMENTS=3\n"), "{delta}");
    assert!(!delta.contains("42.m4s") && delta.contains("43.m4s") && !delta.contains("EXT-X-MAP"), "{delta}");
}

#[test]
fn the_end_of_the_playlist_is_the_last_part_or_segment() {
    let mut playlist = playlist();
    assert_eq!(playlist.last(), Some((42, Some(0))));
    playlist.open = None;
    assert_eq!(playlist.last(), Some((41, Some(1))));
    playlist.segments.clear();
    assert_eq!(playlist.last(), None);
    assert_eq!(playlist.end(), 40);
}

#[test]
fn keyframes_alone_are_listed_as_ranges_of_their_segments() {
    let only = |msn| {
        let range = Some(ByteRange { length: 900, offset: Some(7) });
        Arc::new(Segment { parts: Vec::new(), byte_range: range, ..Segment::clone(&segment(msn, 0)) })
    };
    let list = Playlist {
        server_control: ServerControl { part_hold_back: None, ..playlist().server_control },
        part_target: None,
        i_frames_only: true,
        segments: vec![only(40), only(41)],
        open: None,
        preload_hint: None,
        reports: Vec::new(),
        ..playlist()
    };
    let text = list.render();
    assert!(text.starts_with("#EXTM3U\n#EXT-X-VERSION:5\n"), "{text}");
    assert!(text.contains("#EXT-X-I-FRAMES-ONLY\n"), "{text}");
    assert!(text.contains("#EXT-X-BYTERANGE:900@7\n#EXTINF:2.0,\n41.m4s\n"), "{text}");
}
