//! What one core serves from memory: requests or bytes for a second of the server's own CPU time.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nearcast_tests::client::Client;

use crate::contest::{Contest, Plan, Rival};
use crate::load::{Load, Target};
use crate::report::{Better, Row, percentile};
use crate::server::Server;
use crate::site::Site;
use crate::{cpu, profile};

/// What is asked, how, of whom, and whether bytes or requests are what counts.
#[derive(Debug, Clone, Copy)]
pub struct Measure {
    pub name: &'static str,
    pub load: Load,
    pub path: &'static str,
    pub secure: bool,
    pub bytes: bool,
    pub rivals: &'static [Rival],
}

/// One run.
#[derive(Debug, Clone, Copy)]
struct Sample {
    /// Requests or bytes for each second of CPU time.
    work: f64,
    /// Share of its core that the server used, and the load (with the origin) of the other.
    busy: f64,
    load: f64,
    /// Of an open loop: how late requests were made, p99 in ms.
    late: Option<f64>,
}

/// Rows for each peer, and what there is to say about them.
pub async fn run(
    site: &Site,
    measure: &Measure,
    plan: Plan,
    say: &dyn Fn(&str),
) -> Result<(Vec<Row>, Vec<String>)> {
    let mut contest = Contest::start(site, measure.rivals).await?;
    let outcome = contest.rounds(plan.rounds, async |server| {
        let sample = once(site, server, measure, plan.time).await?;
        let Sample { work, busy, load, .. } = sample;
        say(&format!(
            "{:<28} {:<32} {work:>12.0}  core {:.0} %, load {:.0} %",
            measure.name,
            server.name,
            busy * 100.0,
            load * 100.0
        ));
        Ok(sample)
    });
    let outcome = outcome.await?;
    let mut notes = contest.left_out(measure.name);
    for server in contest.servers() {
        let load = async || once(site, server, measure, PROFILED).await.map(drop);
        if let Some(profile) = profile::of(server, &site.folder, load).await {
            notes.push(format!("{}, CPU time of {}: {profile}", measure.name, server.name));
        }
    }
    contest.stop().await?;

    let (unit, scale) =
        if measure.bytes { ("GB per CPU-second", 1e-9) } else { ("requests per CPU-second", 1.0) };
    let work = |samples: &[Sample]| samples.iter().map(|sample| sample.work * scale).collect();
    let rows = outcome.peers.iter().map(|theirs| {
        let note = format!("ours {}; theirs {}", limit(&outcome.ours), limit(&theirs.samples));
        Row::of(measure.name, unit, work(&outcome.ours))
            .against(&theirs.name, work(&theirs.samples), Better::Higher, theirs.at_least)
            .noted(note)
    });
    Ok((rows.collect(), notes))
}

async fn once(site: &Site, server: &Server, measure: &Measure, time: Duration) -> Result<Sample> {
    let base = server.base(measure.secure);
    let size = site.feeder.size(measure.path).context("an object that the origin has not")?;
    let client = Client::connect(&base, measure.load.protocol(), &site.certificate.roots).await?;
    for _ in 0..2 {
        let reply = client.get(measure.path).await?.expect(200)?;
        ensure!(reply.body.len() == size, "{} bytes instead of {size}", reply.body.len());
    }
    drop(client);
    let target = Target { base: &base, path: measure.path, size, certificate: &site.certificate };
    // What keeps a copy for each kind of client has them all then.
    measure.load.run(target, WARM).await?;
    let fetched = site.feeder.fetched(measure.path).count;
    let own = i32::try_from(std::process::id())?;
    let (cpu, load, start) = (server.cpu(), cpu::seconds_with_children(own)?, Instant::now());
    let done = measure.load.run(target, time).await?;
    let elapsed = start.elapsed().as_secs_f64();
    let (used, load) = (server.cpu() - cpu, cpu::seconds_with_children(own)? - load);
    ensure!(used > 0.0 && done.answers > 0.0, "{} answers in {used} s of CPU", done.answers);
    let again = site.feeder.fetched(measure.path).count - fetched;
    ensure!(again == 0, "it was fetched {again} times more: this was no cache");
    let work = done.answers * if measure.bytes { size as f64 } else { 1.0 } / used;
    Ok(Sample { work, busy: used / elapsed, load: load / elapsed, late: done.late })
}

/// What held these runs back, in words.
fn limit(samples: &[Sample]) -> String {
    let median = |of: fn(&Sample) -> f64| percentile(&samples.iter().map(of).collect::<Vec<_>>(), 50.0);
    let (busy, load) = (median(|sample| sample.busy), median(|sample| sample.load));
    let by = match (busy > FULL, load > FULL) {
        (true, _) => "limited by its core",
        (false, true) => "limited by the load's core",
        (false, false) => "limited by waiting: for each other, or for others on this machine",
    };
    let late: Vec<_> = samples.iter().filter_map(|sample| sample.late).collect();
    let late = match late.is_empty() {
        true => String::new(),
        false => format!(", requests at most {:.1} ms late at p99", percentile(&late, 100.0)),
    };
    format!("{by} (busy {:.0} %, load {:.0} %{late})", busy * 100.0, load * 100.0)
}

/// Share of a core that is all of it, but for what else the machine has to do.
const FULL: f64 = 0.9;
/// Load before each run.
const WARM: Duration = Duration::from_secs(1);
/// Load while a profile is taken.
const PROFILED: Duration = Duration::from_secs(3);
