//! What a crowd costs: a thousand misses of one object at once, two thousand players held until a part is published.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tokio::time::sleep;

use crate::contest::{Contest, Outcome, Plan, Rival};
use crate::crowd::Crowd;
use crate::feeder::{PART_ENDING, PLAYLIST, SEGMENT_ENDING};
use crate::peers::Peer;
use crate::report::{Better, Row, percentile};
use crate::server::Server;
use crate::site::Site;

/// Rows, and what there is to say about them.
pub type Rows = (Vec<Row>, Vec<String>);

/// One crowd.
#[derive(Debug, Clone, Copy)]
struct Sample {
    fetches: f64,
    /// Milliseconds.
    p99: f64,
}

/// How often the origin is asked for an object that a thousand want at once, and how much later than at the origin
/// their answers begin: of a part, which comes at once, and of a segment, which takes half a second.
pub async fn misses(site: &Site, plan: Plan, say: &dyn Fn(&str)) -> Result<Rows> {
    let (mut rows, mut notes) = (Vec::new(), Vec::new());
    for (what, ending) in [("part", PART_ENDING), ("segment", SEGMENT_ENDING)] {
        let measure = format!("1,000 parallel misses of a {what}");
        let mut contest = Contest::start(site, MISSES).await?;
        let number = AtomicUsize::new(0);
        let outcome = contest.rounds(plan.rounds, async |server| {
            let url = site.feeder.cold(number.fetch_add(1, Ordering::Relaxed), ending);
            let sample = miss(site, server, &url).await?;
            tell(say, &measure, server, sample);
            Ok(sample)
        });
        let outcome = outcome.await?;
        notes.extend(contest.left_out(&measure));
        contest.stop().await?;
        let fetches = |samples: &[Sample]| samples.iter().map(|sample| sample.fetches).collect::<Vec<_>>();
        // One fetch too many in any of the runs is too many.
        let most = percentile(&fetches(&outcome.ours), 100.0);
        rows.push(Row::of(&measure, "origin fetches", vec![most]).within("exactly 1", 1.0));
        rows.extend(outcome.peers.iter().map(|theirs| {
            Row::of(&measure, "origin fetches", fetches(&outcome.ours)).against(
                &theirs.name,
                fetches(&theirs.samples),
                Better::Lower,
                None,
            )
        }));
        rows.extend(latencies(&format!("{measure}: added time to first byte, p99"), &outcome));
    }
    notes.push(NOTE_MISSES.into());
    Ok((rows, notes))
}

async fn miss(site: &Site, server: &Server, url: &str) -> Result<Sample> {
    let mut crowd = Crowd::connect(server.plain, MISSING).await?;
    // Everybody has been served before: what is measured is the miss, not the connection.
    crowd.ask(PLAYLIST).await?;
    let answers = crowd.ask(url).await?;
    let fetched = site.feeder.fetched(url);
    let answered = fetched.answered.unwrap_or_else(Instant::now);
    let added = answers.iter().map(|answer| millis(answer.asked.max(answered), answer.first_byte));
    Ok(Sample { fetches: fetched.count as f64, p99: percentile(&added.collect::<Vec<_>>(), 99.0) })
}

/// How long after a part is published the last of two thousand players that wait for it has the playlist.
pub async fn waiters(site: &Site, plan: Plan, say: &dyn Fn(&str)) -> Result<Rows> {
    let mut contest = Contest::start(site, WAITERS).await?;
    let outcome = contest.rounds(plan.rounds, async |server| {
        let sample = release(site, server).await?;
        tell(say, RELEASE, server, sample);
        Ok(sample)
    });
    let outcome = outcome.await?;
    let mut notes = contest.left_out(RELEASE);
    notes.push(NOTE_WAITERS.into());
    contest.stop().await?;
    Ok((latencies(RELEASE, &outcome), notes))
}

async fn release(site: &Site, server: &Server) -> Result<Sample> {
    // A broadcast for each server: what one of them waits for does not move the others.
    let broadcast: String = server.name.chars().filter(char::is_ascii_alphabetic).collect();
    let mut crowd = Crowd::connect(server.plain, WAITING).await?;
    let (path, blocking) = site.feeder.waiting(&broadcast);
    crowd.ask(&path).await?;
    let publish = async {
        site.feeder.until_fetched(&blocking).await;
        sleep(SETTLE).await;
        site.feeder.publish(&broadcast)
    };
    let (answers, published) = tokio::join!(crowd.ask(&blocking), publish);
    let answers = answers?;
    ensure!(answers.iter().all(|answer| answer.last_byte >= published), "answered before it was published");
    let times: Vec<_> = answers.iter().map(|answer| millis(published, answer.last_byte)).collect();
    let fetches = site.feeder.fetched(&blocking).count as f64;
    Ok(Sample { fetches, p99: percentile(&times, 99.0) })
}

fn latencies(measure: &str, outcome: &Outcome<Sample>) -> Vec<Row> {
    let times = |samples: &[Sample]| samples.iter().map(|sample| sample.p99).collect();
    let rows = outcome.peers.iter().map(|theirs| {
        Row::of(measure, "ms", times(&outcome.ours)).against(
            &theirs.name,
            times(&theirs.samples),
            Better::Lower,
            theirs.at_least,
        )
    });
    rows.collect()
}

fn tell(say: &dyn Fn(&str), measure: &str, server: &Server, sample: Sample) {
    let Sample { fetches, p99 } = sample;
    say(&format!("{measure:<28} {:<32} {fetches:>4.0} fetches, p99 {p99:.1} ms", server.name));
}

fn millis(from: Instant, to: Instant) -> f64 {
    to.saturating_duration_since(from).as_secs_f64() * 1000.0
}

const RELEASE: &str = "2,000 blocked playlist waiters: publish to last byte, p99";
const MISSING: usize = 1000;
const WAITING: usize = 2000;
/// All requests have long been sent; so are the server's own timers begun.
const SETTLE: Duration = Duration::from_secs(1);
const MISSES: &[Rival] = &[
    (Peer::Nginx, Some(20.0)),
    (Peer::Varnish, Some(1.0)),
    (Peer::Trafficserver, None),
    (Peer::Envoy, None),
];
const WAITERS: &[Rival] = &[(Peer::Nginx, Some(5.0)), (Peer::Varnish, Some(1.2))];
const NOTE_MISSES: &str = "Parallel misses: the origin begins to answer after 0.1 s, a part of 10 KiB at once, a segment of \
    256 KiB over another half a second. nginx lets the crowd look again every 0.5 s, so it is limited by its clock; the \
    others by what a core writes to a thousand connections, and the clients' core reads";
const NOTE_WAITERS: &str = "Blocked playlist waiters: the peers know nothing of blocking reloads, so there the origin \
    holds the one request that they let through (proxy_cache_lock, the waiting list), and the others wait for it to be \
    answered; our edge follows the rendition, answers all itself, and fetches the hinted part ahead as well. nginx is \
    limited by its clock of 0.5 s, varnish by waking its threads, we by what a core writes to two thousand connections";
