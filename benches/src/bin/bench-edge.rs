//! `make bench-edge`: an edge of ours beside its peers, each with one worker on one core.
//!
//! `bench-edge [--runs 5] [--seconds 5] [WORD]`: with a word it runs only the measures whose name contains it, and writes
//! no results.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use lexopt::{Arg, ValueExt as _};
use nearcast_benches::contest::Plan;
use nearcast_benches::cpu;
use nearcast_benches::crowds::{self, Rows};
use nearcast_benches::feeder::{PART, PLAYLIST, SEGMENT};
use nearcast_benches::h3::Rate;
use nearcast_benches::hits::{self, Measure};
use nearcast_benches::load::Load;
use nearcast_benches::peers::Peer::{Caddy, Envoy, Nginx, Pool, Trafficserver, Varnish};
use nearcast_benches::report;
use nearcast_benches::site::Site;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};

const MEASURES: &[Measure] = &[
    Measure {
        name: "H1 hit, 1 KB playlist",
        load: Load::H1 { connections: 64 },
        path: PLAYLIST,
        secure: false,
        bytes: false,
        rivals: &[(Nginx, Some(1.0)), (Varnish, Some(1.0)), (Trafficserver, None), (Pool, None)],
    },
    Measure {
        name: "HTTPS H1 hit, 1 MiB",
        load: Load::H1 { connections: 16 },
        path: SEGMENT,
        secure: true,
        bytes: true,
        rivals: &[(Nginx, Some(1.0)), (Envoy, Some(0.95)), (Varnish, None), (Trafficserver, None)],
    },
    Measure {
        name: "HTTPS H2 hit, 100 KiB parts",
        load: Load::H2 { connections: 16, streams: 4 },
        path: PART,
        secure: true,
        bytes: true,
        rivals: &[
            (Nginx, Some(0.85)),
            (Envoy, Some(1.1)),
            (Caddy, Some(2.0)),
            (Trafficserver, None),
            (Pool, None),
        ],
    },
    Measure {
        name: "H3 hit, 1 KB playlist",
        load: Load::H3(Rate { offered: 200_000, connections: 16, streams: 8 }),
        path: PLAYLIST,
        secure: true,
        bytes: false,
        rivals: &[(Caddy, Some(1.3)), (Envoy, Some(1.0)), (Pool, None)],
    },
    Measure {
        name: "H3 hit, 1 MiB",
        load: Load::H3(Rate { offered: 10_000, connections: 8, streams: 2 }),
        path: SEGMENT,
        secure: true,
        bytes: true,
        rivals: &[(Caddy, Some(1.5)), (Envoy, Some(1.0))],
    },
    // No goal is set for these two; a low-latency viewer asks for little, often.
    Measure {
        name: "HTTPS H1 hit, 1 KB playlist",
        load: Load::H1 { connections: 64 },
        path: PLAYLIST,
        secure: true,
        bytes: false,
        rivals: &[(Nginx, None)],
    },
    Measure {
        name: "HTTPS H2 hit, 1 KB playlist",
        load: Load::H2 { connections: 16, streams: 8 },
        path: PLAYLIST,
        secure: true,
        bytes: false,
        rivals: &[(Nginx, None)],
    },
];

#[tokio::main]
async fn main() -> ExitCode {
    report::exit(run().await)
}

async fn run() -> Result<()> {
    ensure!(cpu::cores()? > 1, "the servers have core 0 for themselves, the load needs another");
    // A crowd has more connections than many shells allow.
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })
        .context("raising the limit of open files")?;
    let (plan, word) = arguments()?;
    let mut ended = signal(SignalKind::terminate())?;
    let rows = async {
        let site = Site::start("bench-edge").await?;
        measure_all(&site, plan, &word).await
    };
    // Whatever ends it, what was started is dropped, and with that stopped.
    let (rows, notes) = tokio::select! {
        rows = rows => rows?,
        _ = tokio::signal::ctrl_c() => bail!("interrupted"),
        _ = ended.recv() => bail!("terminated"),
    };
    if word.is_empty() {
        say(&format!("\n{}", report::write_with_notes("edge", &rows, &notes)?));
    } else {
        say(&format!("\n{}\n{}", report::table(&rows), notes.join("\n")));
    }
    Ok(())
}

async fn measure_all(site: &Site, plan: Plan, word: &str) -> Result<Rows> {
    let (mut rows, mut notes) = (Vec::new(), vec![METHOD.to_owned()]);
    let mut add = |(more, said): Rows| {
        rows.extend(more);
        notes.extend(said);
    };
    for measure in MEASURES.iter().filter(|measure| measure.name.contains(word)) {
        add(hits::run(site, measure, plan, &say).await?);
    }
    if "misses".contains(word) {
        add(crowds::misses(site, plan, &say).await?);
    }
    if "waiters".contains(word) {
        add(crowds::waiters(site, plan, &say).await?);
    }
    Ok((rows, notes))
}

fn arguments() -> Result<(Plan, String)> {
    let mut plan = Plan { rounds: 5, time: Duration::from_secs(5) };
    let mut word = String::new();
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("runs") => plan.rounds = parser.value()?.parse()?,
            Arg::Long("seconds") => plan.time = Duration::from_secs(parser.value()?.parse()?),
            Arg::Value(value) => word = value.string()?,
            other => return Err(other.unexpected().into()),
        }
    }
    ensure!(plan.rounds > 0 && !plan.time.is_zero(), "there is nothing to measure in no time");
    Ok((plan, word))
}

fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Under the table.
const METHOD: &str = "Each server with one worker on core 0, load and origin on another core; the same objects, the \
    same ECDSA P-256 certificate, TLS 1.3 with AES-128-GCM, caches warm and in memory, no access logs; runs taken in \
    turns, medians shown. Work is counted per second of CPU time of all of a server's processes, so a core that was \
    not busy all the time, or a load that was the limit, flatters nobody";
