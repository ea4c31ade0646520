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
    report.args(["report", "--stdio", "--no-children", "--sort", "symbol", "--input"]);
    let output = report.arg(data).kill_on_drop(true).output().await?;
    ensure!(output.status.success(), "perf report failed");
    Ok(summary(&String::from_utf8_lossy(&output.stdout)))
}

/// The kernel's share, and the first functions that have a name: `52 % kernel; 12 % function`.
fn summary(report: &str) -> String {
    let (mut kernel, mut functions) = (0.0, Vec::new());
    for line in report.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
        let Some((share, symbol)) = line.split_once('%') else { continue };
        let Ok(share) = share.parse::<f64>() else { continue };
        let symbol = symbol.trim();
        if symbol.starts_with("[k]") {
            kernel += share;
        }
        // After the name come columns of something else.
        let name = symbol.get(4..).unwrap_or_default().split("  ").next().unwrap_or_default();
        if functions.len() < MOST && share >= 1.0 && !name.starts_with("0x") {
            functions.push(format!("{share:.0} % {name}"));
        }
    }
    format!("{kernel:.0} % kernel; {}", functions.join(", "))
}

/// Enough to see what stands in the way.
const MOST: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_becomes_one_line() {
        let report = "# Overhead  Symbol\n#\n    24.31%  [k] copy_user   -   -  \n     9.50%  [.] aes::encrypt\n\
                      \x20    3.00%  [.] 0x0000000000123456\n     0.50%  [k] rare\n";
        assert_eq!(summary(report), "25 % kernel; 24 % copy_user, 10 % aes::encrypt");
    }
}
