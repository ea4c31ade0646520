//! `make bench-edge`: what one core of an edge serves from memory, per second of its own CPU time.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, ensure};
use nearcast_benches::cpu;
use nearcast_benches::load::Load;
use nearcast_benches::report::{self, Row};
use nearcast_benches::stage::{PART, PLAYLIST, SEGMENT, Stage};

/// What is asked, how, and whether bytes or requests are what counts.
struct Measure {
    name: &'static str,
    load: Load,
    path: &'static str,
    tls: bool,
    bytes: bool,
}

const MEASURES: &[Measure] = &[
    Measure {
        name: "H1 hit, 1 KB playlist",
        load: Load::H1 { connections: 64 },
        path: PLAYLIST,
        tls: false,
        bytes: false,
    },
    Measure {
        name: "HTTPS H1 hit, 1 KB playlist",
        load: Load::H1 { connections: 64 },
        path: PLAYLIST,
        tls: true,
        bytes: false,
    },
    Measure {
        name: "HTTPS H1 hit, 1 MiB",
        load: Load::H1 { connections: 16 },
        path: SEGMENT,
        tls: true,
        bytes: true,
    },
    Measure {
        name: "HTTPS H2 hit, 1 KB playlist",
        load: Load::H2 { connections: 16, streams: 8 },
        path: PLAYLIST,
        tls: true,
        bytes: false,
    },
    Measure {
        name: "HTTPS H2 hit, 100 KiB parts",
        load: Load::H2 { connections: 16, streams: 4 },
        path: PART,
        tls: true,
        bytes: true,
    },
    Measure {
        name: "H3 hit, 1 KB playlist",
        load: Load::H3 { connections: 16, streams: 8 },
        path: PLAYLIST,
        tls: true,
        bytes: false,
    },
    Measure {
        name: "H3 hit, 1 MiB",
        load: Load::H3 { connections: 8, streams: 2 },
        path: SEGMENT,
        tls: true,
        bytes: true,
    },
];

#[tokio::main]
async fn main() -> ExitCode {
    report::exit(run().await)
}

async fn run() -> Result<()> {
    ensure!(cpu::cores()? > 1, "the edge has core 0 for itself, the load needs another");
    let folder = std::env::temp_dir().join(format!("nearcast-bench-edge-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let outcome = measure_all(&folder).await;
    std::fs::remove_dir_all(&folder)?;
    let rows = outcome?;
    say(&format!("\n{}", report::write("edge", &rows)?));
    Ok(())
}

async fn measure_all(folder: &std::path::Path) -> Result<Vec<Row>> {
    let stage = Stage::start(folder).await?;
    let mut runs = vec![Vec::new(); MEASURES.len()];
    // Alternated, so that a slow minute of the machine does not fall on one measure.
    for round in 1..=ROUNDS {
        for (measure, runs) in MEASURES.iter().zip(&mut runs) {
            let value = once(&stage, measure).await?;
            say(&format!("{round}/{ROUNDS}  {:<28} {value:.0}", measure.name));
            runs.push(value);
        }
    }
    Ok(MEASURES.iter().zip(runs).map(|(measure, runs)| row(measure, runs)).collect())
}

/// Requests or bytes per second of the edge's CPU time.
async fn once(stage: &Stage, measure: &Measure) -> Result<f64> {
    let base = if measure.tls { &stage.https } else { &stage.plain };
    let size = stage.size(measure.path).await?;
    let before = cpu::seconds(stage.edge.id())?;
    let answers = measure.load.run(base, measure.path, size, &stage.certificate.roots, TIME).await?;
    let used = cpu::seconds(stage.edge.id())? - before;
    ensure!(used > 0.0 && answers > 0.0, "{}: {answers} answers in {used} s of CPU", measure.name);
    Ok(answers * if measure.bytes { size as f64 } else { 1.0 } / used)
}

fn row(measure: &Measure, runs: Vec<f64>) -> Row {
    if measure.bytes {
        let gigabytes = runs.into_iter().map(|bytes| bytes / 1e9).collect();
        Row::of(measure.name, "GB per CPU-second", gigabytes)
    } else {
        Row::of(measure.name, "requests per CPU-second", runs)
    }
}

fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

const ROUNDS: usize = 5;
const TIME: Duration = Duration::from_secs(5);
