use std::time::Duration;

use nearcast_media::hls::media::ServerControl;
use nearcast_media::hls::request::{BadRequest, Skip};

use super::super::view::Answer;
use super::*;
use crate::testing::{PARTS, TARGET, playlist};

const IDLE: Duration = Duration::from_secs(15);

fn fetched(playlist: Playlist, now: Instant) -> Fetched {
    Fetched { text: playlist.render().into(), playlist, produced: now }
}

fn wait_for(msn: u64, part: u32) -> Directives {
    Directives { wait_for: Some(Position { msn, part: Some(part) }), skip: None }
}

fn failure() -> Error {
    Error::Connect { origin: "http://o".into(), source: Arc::new(std::io::Error::other("refused")) }
}

/// A core, its clock and what it asked for.
struct Run {
    core: Rendition,
    now: Instant,
}

impl Run {
    fn new() -> Self {
        let now = Instant::now();
        Self { core: Rendition::new(IDLE, now), now }
    }

    /// A rendition whose first playlist has arrived and whose chain waits for the next part.
    fn following(end: u64, open: u32) -> Self {
        let mut run = Self::new();
        assert_eq!(run.asked(), Directives::default());
        run.answer(playlist(end, open));
        run
    }

    fn actions(&mut self) -> Vec<Action> {
        std::iter::from_fn(|| self.core.poll_action(self.now)).collect()
    }

    /// The directives of the one playlist request that must come now, parts aside.
    fn asked(&mut self) -> Directives {
        let mut asked = self.actions().into_iter().filter_map(|action| match action {
            Action::Playlist { directives, .. } => Some(directives),
            Action::Part(_) => None,
            Action::Stop => panic!("stopped"),
        });
        let first = asked.next().expect("a playlist request");
        assert_eq!(asked.next(), None);
        first
    }

    fn parts(&mut self) -> Vec<String> {
        let parts = self.actions().into_iter().filter_map(|action| match action {
            Action::Part(file) => Some(file.to_string()),
            Action::Playlist { .. } => None,
            Action::Stop => panic!("stopped"),
        });
        parts.collect()
    }

    fn answer(&mut self, playlist: Playlist) {
        let fetched = fetched(playlist, self.now);
        self.core.on_playlist(Ok(fetched), self.now, |_| true);
    }

    fn fail(&mut self, error: Error) {
        self.core.on_playlist(Err(error), self.now, |_| true);
    }

    fn pass(&mut self, millis: u64) {
        self.now += Duration::from_millis(millis);
    }

    /// Sleeps until the core wants to be polled, as the shell does.
    fn sleep(&mut self) {
        let timeout = self.core.poll_timeout().expect("a timeout");
        assert!(timeout >= self.now);
        self.now = timeout;
    }

    fn tell(&self, directives: Directives) -> String {
        match self.core.view().answer(&directives, self.now) {
            Answer::Ready(snapshot) => format!("{:?}", snapshot.playlist.last().unwrap()),
            Answer::Wait => "wait".into(),
            Answer::BadRequest(why) => why.to_string(),
            Answer::Unavailable(error) => error.to_string(),
        }
    }
}

#[test]
fn one_chain_asks_for_each_part_and_fetches_it_ahead() {
    let mut run = Run::following(10, 1);
    assert_eq!(run.parts(), ["10.1.m4s"], "the hinted part");
    for (end, open, next) in [(10, 2, (10, 2)), (10, 3, (10, 3)), (11, 0, (11, 0)), (11, 1, (11, 1))] {
        run.pass(500);
        run.core.on_viewer(run.now);
        assert!(run.actions().is_empty(), "one request at a time");
        run.answer(playlist(end, open));
        let actions = run.actions();
        let (msn, part) = next;
        let hold = Duration::from_secs(3 * u64::from(TARGET)) + GRACE;
        assert_eq!(
            actions,
            [
                Action::Part(File::Part { msn, part }),
                Action::Playlist { directives: wait_for(msn, part), patience: hold }
            ]
        );
    }
}

#[test]
fn parts_that_were_never_hinted_are_fetched_when_listed() {
    let mut run = Run::following(10, 1);
    run.actions();
    run.answer(playlist(11, 2));
    assert_eq!(run.parts(), ["10.2.m4s", "10.3.m4s", "11.0.m4s", "11.1.m4s", "11.2.m4s"]);
    run.answer(playlist(20, 0));
    assert_eq!(run.parts().len(), MAX_PREFETCH, "a chain that fell behind leaves the rest");
}

#[test]
fn viewers_are_answered_from_memory() {
    let mut run = Run::following(10, 1);
    run.actions();
    assert_eq!(run.tell(Directives::default()), "(10, Some(0))");
    assert_eq!(run.tell(wait_for(10, 0)), "(10, Some(0))");
    assert_eq!(run.tell(wait_for(10, 1)), "wait");
    let too_far = BadRequest::SegmentTooFarAhead { asked: 13, last: 10 }.to_string();
    assert_eq!(run.tell(wait_for(13, 0)), too_far);
    run.pass(500);
    run.answer(playlist(10, 2));
    assert_eq!(run.tell(wait_for(10, 1)), "(10, Some(1))");

    let snapshot = run.core.view().snapshot.clone().unwrap();
    let skip = Directives { wait_for: None, skip: Some(Skip::Segments) };
    let delta = std::str::from_utf8(snapshot.text(&skip)).unwrap();
    assert!(delta.contains("#EXT-X-SKIP:SKIPPED-SEGMENTS="), "{delta}");
    assert!(delta.len() < snapshot.text(&Directives::default()).len());
    assert_eq!(snapshot.age(run.now + Duration::from_millis(2_900)), 2);
}

#[test]
fn whole_segments_are_known_by_their_parts_after_these_are_no_longer_listed() {
    let mut run = Run::following(10, 0);
    run.actions();
    for end in 11..=20 {
        run.answer(playlist(end, 0));
        run.actions();
    }
    let snapshot = run.core.view().snapshot.clone().unwrap();
    assert!(snapshot.playlist.segment(8).unwrap().parts.is_empty());
    assert_eq!(snapshot.parts_of(8), Some(PARTS));
    assert_eq!(snapshot.parts_of(19), Some(PARTS));
    assert_eq!(snapshot.parts_of(6), None, "it was never seen with its parts");
    assert_eq!(snapshot.parts_of(20), None, "it is not whole");
}

#[test]
fn it_stops_when_nobody_has_asked_for_a_while() {
    let mut run = Run::following(10, 1);
    run.actions();
    run.pass(10_000);
    run.core.on_viewer(run.now);
    run.pass(14_999);
    assert!(run.actions().is_empty());
    run.sleep();
    assert_eq!(run.actions(), [Action::Stop]);
    assert_eq!(run.core.poll_timeout(), None);
}

#[test]
fn a_failing_parent_is_asked_with_backoff_while_the_last_playlist_serves_for_three_target_durations() {
    let mut run = Run::following(10, 1);
    run.actions();
    let (mut asked, start) = (0, run.now);
    while run.now < start + Duration::from_secs(6) {
        assert_eq!(run.tell(Directives::default()), "(10, Some(0))");
        assert_eq!(run.tell(wait_for(10, 1)), "wait");
        run.fail(failure());
        assert!(run.actions().is_empty(), "not at once");
        run.sleep();
        assert_eq!(run.asked(), Directives::default());
        asked += 1;
        run.core.on_viewer(run.now);
    }
    assert!((4..=12).contains(&asked), "{asked} requests in 6 s");
    assert_eq!(run.tell(Directives::default()), "cannot reach http://o");
    assert_eq!(run.tell(wait_for(10, 1)), "cannot reach http://o");

    run.answer(playlist(14, 2));
    assert_eq!(run.tell(wait_for(10, 1)), "(14, Some(1))");
    assert_eq!(run.asked(), wait_for(14, 2));
}

#[test]
fn a_publisher_that_pauses_is_no_failure() {
    let mut run = Run::following(10, 1);
    run.actions();
    for _ in 0..3 {
        run.pass(6_000);
        run.core.on_viewer(run.now);
        run.fail(Error::Status { origin: "o".into(), status: 503 });
        assert_eq!(run.asked(), Directives::default(), "is it still there?");
        run.answer(playlist(10, 1));
        assert_eq!(run.tell(Directives::default()), "(10, Some(0))");
        assert_eq!(run.core.view().snapshot.as_ref().unwrap().age(run.now), 0);
        assert_eq!(run.asked(), wait_for(10, 1));
    }
    run.answer(playlist(10, 2));
    assert_eq!(run.tell(wait_for(10, 1)), "(10, Some(1))");
}

#[test]
fn a_rendition_that_is_missing_or_goes_missing_is_given_up_at_once() {
    let mut run = Run::new();
    run.asked();
    run.fail(Error::NotFound);
    assert_eq!(run.tell(wait_for(10, 1)), Error::NotFound.to_string());
    assert_eq!(run.actions(), [Action::Stop]);

    let mut run = Run::following(10, 1);
    run.actions();
    run.fail(Error::NotFound);
    assert_eq!(run.tell(Directives::default()), Error::NotFound.to_string());
    assert_eq!(run.actions(), [Action::Stop]);
}

#[test]
fn an_ended_playlist_is_served_and_not_asked_for_again() {
    let mut run = Run::following(10, 1);
    run.actions();
    let ended = Playlist { ended: true, open: None, preload_hint: None, ..playlist(11, 0) };
    run.answer(ended);
    assert_eq!(run.parts(), ["10.2.m4s", "10.3.m4s"], "what was not hinted is fetched all the same");
    assert_eq!(run.tell(wait_for(99, 0)), "(10, Some(3))");
    run.sleep();
    assert_eq!(run.actions(), [Action::Stop]);
}

#[test]
fn a_parent_that_does_not_hold_requests_is_polled() {
    let mut run = Run::new();
    run.asked();
    let classic = |end| Playlist { server_control: ServerControl::default(), ..playlist(end, 0) };
    run.answer(classic(10));
    assert_eq!(run.parts(), ["10.0.m4s"]);
    run.pass(1_999);
    assert!(run.actions().is_empty());
    run.pass(1);
    assert_eq!(run.asked(), Directives::default());
    run.answer(classic(10));
    run.pass(1_000);
    assert_eq!(run.asked(), Directives::default(), "sooner after a playlist that had not changed");
}

#[test]
fn a_parent_that_answers_early_or_from_the_past_is_not_asked_in_a_loop() {
    let mut run = Run::following(10, 1);
    assert_eq!(run.asked(), wait_for(10, 1));
    run.answer(playlist(10, 1));
    assert!(run.actions().is_empty());
    run.pass(250);
    run.asked();
    run.answer(playlist(8, 1));
    assert_eq!(run.tell(Directives::default()), "(10, Some(0))", "viewers are not taken back");
    assert!(run.actions().is_empty());
    // For ever it is not refused: what is old by now may be all there is.
    run.pass(10_000);
    run.asked();
    run.answer(playlist(8, 1));
    assert_eq!(run.tell(Directives::default()), "(8, Some(0))");
}

#[test]
fn draining_shortens_the_wait_for_viewers() {
    let mut run = Run::following(10, 1);
    run.actions();
    run.core.on_drain();
    run.pass(1_000);
    assert_eq!(run.actions(), [Action::Stop]);
}

#[test]
fn viewers_of_a_lost_origin_get_a_playlist_that_only_grows() {
    let mut run = Run::following(10, 2);
    let old = Arc::clone(run.core.view().snapshot.as_ref().unwrap());
    let _asked = run.actions();
    run.fail(failure());
    run.sleep();
    let _asked = run.actions();
    for open in [1, 2] {
        let mut new = playlist(11, open);
        new.segments.clear();
        new.media_sequence = 11;
        new.open.as_mut().unwrap().head.discontinuity = true;
        run.answer(new);
        run.pass(500);
        let _asked = run.actions();
        let told = run.core.view().snapshot.as_ref().unwrap();
        assert_eq!(told.playlist.segments[..old.playlist.segments.len()], old.playlist.segments);
        assert_eq!((told.playlist.end(), told.parts_of(10)), (11, Some(2)));
        let text = String::from_utf8(told.text(&Directives::default()).to_vec()).unwrap();
        assert_eq!(text, told.playlist.render());
    }
}
