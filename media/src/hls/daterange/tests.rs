use super::super::media::Segment;
use super::*;

fn range(id: &str, start: u64) -> Arc<DateRange> {
    Arc::new(DateRange { id: id.into(), start, ..DateRange::default() })
}

/// Twenty seconds in segments of two from number 40 on: three of them may be skipped.
fn playlist(ids: &[&str]) -> Playlist {
    let segment = |msn: u64| {
        Arc::new(Segment {
            duration: Duration::from_secs(2),
            uri: format!("{msn}.m4s"),
            ..Segment::default()
        })
    };
    let mut playlist = Playlist { media_sequence: 40, ..Playlist::default() };
    playlist.server_control.can_skip_until = Some(Duration::from_secs(12));
    playlist.server_control.can_skip_dateranges = true;
    playlist.segments = (40..50).map(segment).collect();
    playlist.date_ranges = ids.iter().map(|id| range(id, 0)).collect();
    playlist
}

#[test]
fn a_range_reads_as_the_draft_writes_it() {
    let goal = DateRange {
        id: "goal-1".into(),
        class: Some("com.example.goal".into()),
        start: 1_785_585_600_500,
        end: None,
        duration: Some(Duration::from_secs(5)),
        planned_duration: None,
        cue: Some("PRE".into()),
        end_on_next: true,
        attributes: vec![
            ("X-TEAM".into(), Value::Text("home".into())),
            ("X-SCORE".into(), Value::Plain("2".into())),
        ],
    };
    let mut text = String::new();
    goal.render(&mut text);
    assert_eq!(
        text,
        "#EXT-X-DATERANGE:ID=\"goal-1\",CLASS=\"com.example.goal\",START-DATE=\"2026-08-01T12:00:00.500Z\",\
         DURATION=5.0,CUE=\"PRE\",X-TEAM=\"home\",X-SCORE=2,END-ON-NEXT=YES\n"
    );
    assert_eq!(goal.ends(), goal.start + 5000);
    let list = Attributes::parse(text.trim_end().split_once(':').unwrap().1).unwrap();
    assert_eq!(DateRange::parse(&list), Ok(goal));
}

#[test]
fn what_is_no_range_is_refused() {
    for (text, error) in [
        ("START-DATE=\"2026-08-01T12:00:00Z\"", tag::Error::Missing("ID")),
        ("ID=\"a\"", tag::Error::Missing("START-DATE")),
        ("ID=\"a\",START-DATE=\"noon\"", tag::Error::Value("START-DATE")),
        ("ID=\"a\",START-DATE=\"2026-08-01T12:00:00Z\",END-DATE=\"\"", tag::Error::Value("END-DATE")),
        ("ID=\"a\",START-DATE=\"2026-08-01T12:00:00Z\",DURATION=-1", tag::Error::Value("DURATION")),
    ] {
        assert_eq!(DateRange::parse(&Attributes::parse(text).unwrap()), Err(error), "{text}");
    }
}

#[test]
fn a_delta_leaves_out_what_every_client_has_and_says_what_is_gone() {
    let mut history = History::default();
    history.add(range("old", 0), 42);
    history.add(range("new", 0), 43);
    history.add(range("over", 0), 30);
    history.add(range("long over", 0), 30);
    assert!(history.remove(|range| range.id == "long over", 42, 0));
    assert!(history.remove(|range| range.id == "over", 43, 0));
    assert!(!history.remove(|range| range.id == "over", 44, 0));
    let changes = history.changes(&playlist(&[]));
    assert_eq!(changes, Changes { recent: vec![range("new", 0)], removed: vec!["over".into()] });

    let text = playlist(&["old", "new"]).render_delta_v2(&history);
    assert!(text.contains("#EXT-X-VERSION:10\n"), "{text}");
    assert!(text.contains("#EXT-X-SKIP:SKIPPED-SEGMENTS=3,RECENTLY-REMOVED-DATERANGES=\"over\"\n"), "{text}");
    assert!(text.contains("ID=\"new\"") && !text.contains("ID=\"old\""), "{text}");
    // Who does not ask for it gets them all.
    let text = playlist(&["old", "new"]).render_delta();
    assert!(
        text.contains("#EXT-X-VERSION:9\n") && text.contains("ID=\"new\"") && text.contains("ID=\"old\"")
    );
}

#[test]
fn a_playlist_that_is_followed_tells_what_comes_and_goes() {
    let mut history = History::default();
    history.update(&playlist(&["a", "b"]));
    history.update(&playlist(&["b", "c"]));
    assert!(history.ranges().map(|range| range.id.as_str()).eq(["b", "c"]));
    assert!(history.knows("a") && history.knows("c") && !history.knows("d"));
    // Changed, it is news again.
    let mut later = playlist(&["b", "c"]);
    later.date_ranges[0] = range("b", 5);
    later.media_sequence = 60;
    history.update(&later);
    assert_eq!(history.changes(&later).recent, [range("b", 5)]);
    assert!(!history.knows("a"), "what left the playlist long ago is forgotten");
}
