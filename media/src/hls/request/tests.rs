use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::hls::media::{Open, Part, Segment};

/// Segments 10 to 14 of four parts of half a second, and `open` parts of segment 15.
fn playlist(open: usize) -> Playlist {
    let segment = Arc::new(Segment { parts: vec![Part::default(); 4], ..Segment::default() });
    Playlist {
        target_duration: 2,
        part_target: Some(Duration::from_millis(500)),
        media_sequence: 10,
        segments: vec![segment; 5],
        open: (open > 0).then(|| Open { parts: vec![Part::default(); open], ..Open::default() }),
        ..Playlist::default()
    }
}

fn resolve(query: &str, playlist: &Playlist) -> Resolve {
    Directives::parse(query).unwrap().resolve(playlist)
}

const QUERIES: [&str; 6] = [
    "_HLS_msn=15&_HLS_part=2&_HLS_skip=YES",
    "_HLS_skip=v2",
    "_HLS_part=0&CMCD=bl%3D21300&_HLS_msn=18446744073709551615",
    "a&=&b==&_HLS_skip=v3",
    "",
    "_HLS_part=99999999999&_HLS_msn=1",
];

#[test]
fn directives_are_read_in_any_order_and_written_in_one() {
    for (query, canonical) in QUERIES.iter().zip([
        "_HLS_msn=15&_HLS_part=2&_HLS_skip=YES",
        "_HLS_skip=v2",
        "_HLS_msn=18446744073709551615&_HLS_part=0",
        "",
        "",
        "_HLS_msn=1&_HLS_part=4294967295",
    ]) {
        assert_eq!(Directives::parse(query).unwrap().canonical(), canonical);
    }
}

#[test]
fn what_makes_no_sense_is_a_bad_request() {
    for (query, reason) in [
        ("_HLS_part=1", BadRequest::PartWithoutMsn),
        ("_HLS_msn=", BadRequest::Number(MSN)),
        ("_HLS_msn=-1", BadRequest::Number(MSN)),
        ("_HLS_msn=1.5", BadRequest::Number(MSN)),
        ("_HLS_msn=18446744073709551616", BadRequest::Number(MSN)),
        ("_HLS_msn=1&_HLS_part=x", BadRequest::Number(PART)),
        ("_HLS_msn=1&_HLS_msn=1", BadRequest::Repeated(MSN)),
    ] {
        assert_eq!(Directives::parse(query), Err(reason), "{query}");
    }
}

#[test]
fn a_request_waits_exactly_until_the_playlist_holds_what_it_asks_for() {
    let playlist = playlist(2);
    for (query, expected) in [
        ("", Resolve::Now),
        ("_HLS_skip=YES", Resolve::Now),
        ("_HLS_msn=3", Resolve::Now),
        ("_HLS_msn=14", Resolve::Now),
        ("_HLS_msn=14&_HLS_part=3", Resolve::Now),
        // Beyond the end of segment 14 means the first part of 15, which is there.
        ("_HLS_msn=14&_HLS_part=4", Resolve::Now),
        ("_HLS_msn=15&_HLS_part=1", Resolve::Now),
        ("_HLS_msn=15&_HLS_part=2", Resolve::Wait),
        ("_HLS_msn=15", Resolve::Wait),
        ("_HLS_msn=16", Resolve::Wait),
        ("_HLS_msn=16&_HLS_part=0", Resolve::Wait),
        ("_HLS_msn=17", Resolve::Wait),
    ] {
        assert_eq!(resolve(query, &playlist), expected, "{query}");
    }
}

#[test]
fn a_part_beyond_the_last_whole_segment_waits_for_the_next_segment() {
    assert_eq!(resolve("_HLS_msn=14&_HLS_part=3", &playlist(0)), Resolve::Now);
    assert_eq!(resolve("_HLS_msn=14&_HLS_part=4", &playlist(0)), Resolve::Wait);
}

#[test]
fn what_is_too_far_ahead_is_a_bad_request() {
    let bad = |reason| Resolve::BadRequest(reason);
    let far = bad(BadRequest::SegmentTooFarAhead { asked: 18, last: 15 });
    assert_eq!(resolve("_HLS_msn=18", &playlist(2)), far);
    // Parts 0 and 1 are there, and six more are three seconds.
    assert_eq!(resolve("_HLS_msn=15&_HLS_part=7", &playlist(2)), Resolve::Wait);
    let far = bad(BadRequest::PartTooFarAhead { asked: 8, limit: 7 });
    assert_eq!(resolve("_HLS_msn=15&_HLS_part=8", &playlist(2)), far);
    let long = Playlist { part_target: Some(Duration::from_secs(2)), ..playlist(0) };
    assert_eq!(resolve("_HLS_msn=15&_HLS_part=2", &long), Resolve::Wait);
    assert_eq!(
        resolve("_HLS_msn=15&_HLS_part=3", &long),
        bad(BadRequest::PartTooFarAhead { asked: 3, limit: 2 })
    );
}

#[test]
fn an_ended_playlist_answers_everything() {
    let ended = Playlist { ended: true, ..playlist(0) };
    assert_eq!(resolve("_HLS_msn=99&_HLS_part=9", &ended), Resolve::Now);
}

#[test]
fn blocking_answers_live_long_and_others_briefly() {
    let blocking = Directives::parse("_HLS_msn=1").unwrap();
    let plain = Directives::parse("_HLS_skip=YES").unwrap();
    assert_eq!([blocking.max_age_ms(2, true), blocking.max_age_ms(2, false)], [12_000, 8_000]);
    assert_eq!([plain.max_age_ms(3, true), plain.max_age_ms(3, false)], [1_500, 3_000]);
    assert_eq!(hold_limit(2), Duration::from_secs(6));
}

proptest! {
    #[test]
    fn nothing_makes_a_query_panic(
        seed in 0..QUERIES.len(), at in any::<usize>(), bytes in proptest::collection::vec(any::<u8>(), 0..4),
    ) {
        let mut query = QUERIES[seed].as_bytes().to_vec();
        let at = at % (query.len() + 1);
        query.splice(at..at, bytes);
        fuzz(&query);
    }

    #[test]
    fn asking_for_any_position_of_any_playlist_has_an_answer(
        msn in any::<u64>(), part in any::<Option<u32>>(), start in any::<u64>(), open in 0..4_usize,
    ) {
        let playlist = Playlist { media_sequence: start, ..playlist(open) };
        let _any = Directives { wait_for: Some(Position { msn, part }), skip: None }.resolve(&playlist);
    }
}
