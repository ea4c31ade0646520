//! What one core serves from memory: requests or bytes for a second of the server's own CPU time.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nearcast_tests::client::{Client, Protocol};

use crate::contest::{Contest, Rival};
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
    /// Share of its core that the server used, and the load of the other.
    busy: f64,
    load: f64,
}

/// Rows for each peer, and what there is to say about them.
pub async fn run(
    site: &Site,
    measure: &Measure,
    rounds: usize,
    say: &dyn Fn(&str),
) -> Result<(Vec<Row>, Vec<String>)> {
    let mut contest = Contest::start(site, measure.rivals).await?;
    let outcome = contest.rounds(rounds, async |server| {
        let sample = once(site, server, measure).await?;
        say(&format!(
            "{:<28} {:<32} {:>12.0}  core {:.0} %, load {:.0} %",
            measure.name,
            server.name,
            sample.work,
            sample.busy * 100.0,
            sample.load * 100.0
        ));
        Ok(sample)
    });
    let outcome = outcome.await?;
    let target = target(site, &contest.ours().base(measure.secure), measure)?;
    let profiled = profile::of(contest.ours(), &site.folder, async || {
        measure.load.run(target.borrowed(), Duration::from_secs(3)).await.map(drop)
    });
    let mut notes: Vec<_> =
        contest.left_out.iter().map(|why| format!("{}: left out, {why}", measure.name)).collect();
    if let Some(profile) = profiled.await {
        notes.push(format!("{}, where our CPU time goes: {profile}", measure.name));
    }
    contest.stop().await?;

    let (unit, scale) =
        if measure.bytes { ("GB per CPU-second", 1e-9) } else { ("requests per CPU-second", 1.0) };
    let work = |samples: &[Sample]| samples.iter().map(|sample| sample.work * scale).collect::<Vec<_>>();
    let row = || Row::of(measure.name, unit, work(&outcome.ours));
    if outcome.peers.is_empty() {
        return Ok((vec![row()], notes));
    }
    let rows = outcome.peers.iter().map(|theirs| {
        let share = |samples: &[Sample], of: fn(&Sample) -> f64| {
            percentile(&samples.iter().map(of).collect::<Vec<_>>(), 50.0) * 100.0
        };
        let note = format!(
            "core busy {:.0} % (ours), {:.0} % (theirs); load {:.0} % and {:.0} % of the other",
            share(&outcome.ours, |sample| sample.busy),
            share(&theirs.samples, |sample| sample.busy),
            share(&outcome.ours, |sample| sample.load),
            share(&theirs.samples, |sample| sample.load),
        );
        row().against(&theirs.name, work(&theirs.samples), Better::Higher, theirs.at_least).noted(note)
    });
    Ok((rows.collect(), notes))
}

async fn once(site: &Site, server: &Server, measure: &Measure) -> Result<Sample> {
    let owned = target(site, &server.base(measure.secure), measure)?;
    let client = Client::connect(&owned.base, Protocol::H1, &site.certificate.roots).await?;
    for _ in 0..2 {
        let reply = client.get(measure.path).await?.expect(200)?;
        ensure!(reply.body.len() == owned.size, "{} bytes instead of {}", reply.body.len(), owned.size);
    }
    let fetched = site.feeder.fetched(measure.path).count;
    let own = i32::try_from(std::process::id())?;
    let (server_before, load_before, start) =
        (server.cpu()?, cpu::seconds_with_children(own)?, Instant::now());
    let answers = measure.load.run(owned.borrowed(), TIME).await?;
    let elapsed = start.elapsed().as_secs_f64();
    let used = server.cpu()? - server_before;
    let load = cpu::seconds_with_children(own)? - load_before;
    ensure!(used > 0.0 && answers > 0.0, "{answers} answers in {used} s of CPU");
    let again = site.feeder.fetched(measure.path).count - fetched;
    ensure!(again == 0, "it was fetched {again} times more: this was no cache");
    let work = answers * if measure.bytes { owned.size as f64 } else { 1.0 } / used;
    Ok(Sample { work, busy: used / elapsed, load: load / elapsed })
}

/// A [`Target`] that owns its text.
struct Owned<'a> {
    base: String,
    path: &'static str,
    size: usize,
    site: &'a Site,
}

impl Owned<'_> {
    fn borrowed(&self) -> Target<'_> {
        Target { base: &self.base, path: self.path, size: self.size, certificate: &self.site.certificate }
    }
}

fn target<'a>(site: &'a Site, base: &str, measure: &Measure) -> Result<Owned<'a>> {
    let size = site.feeder.size(measure.path).context("an object that the origin has not")?;
    Ok(Owned { base: base.into(), path: measure.path, size, site })
}

/// Of one run.
const TIME: Duration = Duration::from_secs(3);
