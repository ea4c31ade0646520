//! `nearcast-control` as somebody runs it who has set up the environment.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, ensure};
use tokio::process::Command;

use crate::process::bin_dir;

/// What it has printed.
#[derive(Debug)]
pub struct Said {
    pub code: Option<i32>,
    pub out: String,
    pub error: String,
}

/// Runs it with these words, for the API at a plain address.
pub async fn control(at: SocketAddr, token: &str, words: &[&str]) -> Result<Said> {
    let mut command = Command::new(bin_dir()?.join("nearcast-control"));
    command.args(words).kill_on_drop(true);
    command.env("NEARCASTCTL_URL", format!("http://{at}")).env("NEARCASTCTL_TOKEN", token);
    let output = command.output().await.context("running nearcast-control")?;
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    Ok(Said { code: output.status.code(), out: text(&output.stdout), error: text(&output.stderr) })
}

impl Said {
    /// What it printed, when all went well.
    pub fn done(self) -> Result<String> {
        ensure!(self.code == Some(0), "it ended with {:?}: {}{}", self.code, self.out, self.error);
        Ok(self.out)
    }
}
