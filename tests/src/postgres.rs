//! A PostgreSQL of a test's own.

use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};

/// A running server with an empty database; gone when dropped, or when this process ends.
pub struct Postgres {
    /// Where a control plane's `database` finds it.
    pub url: String,
    /// It runs until this is closed.
    _input: ChildStdin,
    _script: Child,
}

impl Postgres {
    /// Starts one with `scripts/postgres`.
    pub async fn start() -> Result<Self> {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/postgres");
        let mut script = Command::new(script);
        let mut script =
            script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("scripts/postgres")?;
        let input = script.stdin.take().context("no standard input")?;
        let mut url = String::new();
        let output = script.stdout.take().context("no standard output")?;
        BufReader::new(output).read_line(&mut url).await?;
        ensure!(url.starts_with("postgres://"), "scripts/postgres gives no URL: {url:?}");
        Ok(Self { url: url.trim().to_owned(), _input: input, _script: script })
    }
}
