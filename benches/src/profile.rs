//! Where a server's CPU time goes, in one line, by perf(1) where the machine has it.

use std::path::Path;

use anyhow::{Result, ensure};
use tokio::process::Command;

use crate::server::Server;

/// The functions that take most of `server`'s time while `load` runs; `None` where that cannot be told.
pub async fn of(server: &Server, folder: &Path, load: impl AsyncFnOnce() -> Result<()>) -> Option<String> {
    let data = folder.join("perf.data");
    let ids: Vec<_> = server.ids().iter().map(ToString::to_string).collect();
    let mut record = Command::new("perf");
    record.args(["record", "--quiet", "--event", "cpu-clock", "--freq", "997", "--pid", &ids.join(",")]);
    record.arg("--output").arg(&data).args(["--", "sleep", "2"]).kill_on_drop(true);
    let (recorded, loaded) = tokio::join!(record.output(), load());
    if !recorded.ok()?.status.success() || loaded.is_err() {
        return None;
    }
    top(&data).await.ok()
}

async fn top(data: &Path) -> Result<String> {
    let mut report = Command::new("perf");
    report.args([
        "report",
        "--stdio",
        "--no-children",
        "--sort",
        "symbol",
        "--percent-limit",
        "2",
        "--input",
    ]);
    let output = report.arg(data).kill_on_drop(true).output().await?;
    ensure!(output.status.success(), "perf report failed");
    Ok(lines(&String::from_utf8_lossy(&output.stdout)))
}

/// The first lines of a report as `12 % function`.
fn lines(report: &str) -> String {
    let lines = report.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    let lines = lines.filter_map(|line| {
        let (share, symbol) = line.trim().split_once('%')?;
        // `[.]` or `[k]` stands before the name; what follows a hash is no name.
        let symbol = symbol.trim().trim_start_matches("[.] ").trim_start_matches("[k] ");
        Some(format!("{:.0} % {}", share.parse::<f64>().ok()?, symbol.trim()))
    });
    lines.take(MOST).collect::<Vec<_>>().join(", ")
}

/// Enough to see what stands in the way.
const MOST: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_becomes_one_line() {
        let report = "# Overhead  Symbol\n#\n    24.31%  [k] copy_user\n     9.50%  [.] aes_gcm_encrypt\n\n";
        assert_eq!(lines(report), "24 % copy_user, 10 % aes_gcm_encrypt");
        assert_eq!(lines("# nothing\n"), "");
    }
}
