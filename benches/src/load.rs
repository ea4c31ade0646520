//! Load on one URL for some seconds: wrk for H1, h2load for H2, our own client (quinn and h3) for H3.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nearcast_tests::client::{Client, Protocol};
use tokio::process::Command;
use tokio::task::JoinSet;

/// Who asks, and how many at a time.
#[derive(Debug, Clone, Copy)]
pub enum Load {
    /// Over TLS when the URL says so.
    H1 {
        connections: usize,
    },
    H2 {
        connections: usize,
        streams: usize,
    },
    H3 {
        connections: usize,
        streams: usize,
    },
}

impl Load {
    /// Asks for `base` + `path` as fast as it can be had; returns how many whole, good answers came.
    pub async fn run(
        self,
        base: &str,
        path: &str,
        size: usize,
        roots: &Roots,
        time: Duration,
    ) -> Result<f64> {
        let url = format!("{base}{path}");
        let seconds = time.as_secs();
        match self {
            Self::H1 { connections } => {
                let output = tool(
                    "wrk",
                    &[
                        "--threads=1".into(),
                        format!("--connections={connections}"),
                        format!("--duration={seconds}s"),
                        url,
                    ],
                )
                .await?;
                ensure!(!output.contains("Non-2xx"), "not all answers were good:\n{output}");
                ensure!(!output.contains("Socket errors"), "connections broke:\n{output}");
                number_before(&output, " requests in ")
            }
            Self::H2 { connections, streams } => {
                let output = tool(
                    "h2load",
                    &[
                        format!("--clients={connections}"),
                        format!("--max-concurrent-streams={streams}"),
                        format!("--duration={seconds}"),
                        url,
                    ],
                )
                .await?;
                ensure!(output.contains(" 0 failed, 0 errored, 0 timeout"), "not all were good:\n{output}");
                number_before(&output, " 2xx")
            }
            Self::H3 { connections, streams } => {
                h3(base, path, size, roots, connections, streams, time).await
            }
        }
    }
}

/// Whom the H3 client trusts.
pub type Roots = rustls::RootCertStore;

async fn h3(
    base: &str,
    path: &str,
    size: usize,
    roots: &Roots,
    connections: usize,
    streams: usize,
    time: Duration,
) -> Result<f64> {
    let end = Instant::now() + time;
    let mut set = JoinSet::new();
    for _ in 0..connections {
        let client = Arc::new(Client::connect(base, Protocol::H3, roots).await?);
        for _ in 0..streams {
            let (client, path) = (Arc::clone(&client), path.to_owned());
            set.spawn(async move {
                let mut answers = 0_u64;
                while Instant::now() < end {
                    let reply = client.get(&path).await?.expect(200)?;
                    ensure!(reply.body.len() == size, "an answer of {} bytes", reply.body.len());
                    answers += 1;
                }
                Ok(answers)
            });
        }
    }
    let mut answers = 0;
    while let Some(one) = set.join_next().await {
        answers += one??;
    }
    Ok(answers as f64)
}

async fn tool(name: &str, args: &[String]) -> Result<String> {
    let output = Command::new(name).args(args).output().await;
    let output =
        output.with_context(|| format!("running {name}: `make setup WITH_BENCHES=1` installs it"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "{name} failed:\n{text}{}", String::from_utf8_lossy(&output.stderr));
    Ok(text)
}

/// The number that stands right before `mark`.
fn number_before(text: &str, mark: &str) -> Result<f64> {
    let (before, _) = text.split_once(mark).with_context(|| format!("no {mark:?} in:\n{text}"))?;
    let word = before.split_whitespace().next_back().context("nothing before it")?;
    word.parse().with_context(|| format!("{word:?} is no number in:\n{text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tools_answers_are_understood() {
        let wrk = "  2 threads\n  61234 requests in 5.00s, 80.1MB read\n";
        assert_eq!(number_before(wrk, " requests in ").unwrap(), 61234.0);
        let h2load = "status codes: 4321 2xx, 0 3xx, 0 4xx, 0 5xx\n";
        assert_eq!(number_before(h2load, " 2xx").unwrap(), 4321.0);
        assert!(number_before("nothing", " 2xx").is_err());
    }
}
