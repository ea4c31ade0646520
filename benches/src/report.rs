//! Results: `benches/results/{name}.json`, and the same as a Markdown table.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::Result;
use serde::Serialize;

use crate::cpu;

/// One measure, against one peer where there is one.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Row {
    pub measure: String,
    /// Who `theirs` is: a peer with its version, or a budget.
    pub peer: Option<String>,
    pub unit: String,
    /// Median of `runs`.
    pub ours: f64,
    pub theirs: Option<f64>,
    /// Over 1 is better for us.
    pub ratio: Option<f64>,
    /// What `ratio` has to reach.
    pub at_least: Option<f64>,
    pub runs: Vec<f64>,
    /// (largest - smallest) / median of the runs.
    pub spread: f64,
}

#[derive(Serialize)]
struct Marked<'a> {
    #[serde(flatten)]
    row: &'a Row,
    commit: &'a str,
    cores: usize,
}

impl Row {
    /// A row with the median of `runs`.
    pub fn of(measure: &str, unit: &str, runs: Vec<f64>) -> Self {
        let ours = percentile(&runs, 50.0);
        let (low, high) = (percentile(&runs, 0.0), percentile(&runs, 100.0));
        let spread = if ours == 0.0 { 0.0 } else { (high - low) / ours };
        Self { measure: measure.into(), unit: unit.into(), ours, runs, spread, ..Self::default() }
    }

    /// Compared with a time that must not be exceeded.
    #[must_use]
    pub fn within(mut self, budget: &str, seconds: f64) -> Self {
        self.peer = Some(budget.into());
        self.theirs = Some(seconds);
        self.ratio = Some(seconds / self.ours);
        self.at_least = Some(1.0);
        self
    }
}

/// Writes both files and returns the table.
pub fn write(name: &str, rows: &[Row]) -> Result<String> {
    let folder = results();
    std::fs::create_dir_all(&folder)?;
    let commit = commit();
    let cores = cpu::cores()?;
    let marked: Vec<_> = rows.iter().map(|row| Marked { row, commit: &commit, cores }).collect();
    std::fs::write(folder.join(format!("{name}.json")), serde_json::to_string_pretty(&marked)? + "\n")?;
    let table = table(rows) + &format!("\nCommit {commit}, {cores} cores.\n");
    std::fs::write(folder.join(format!("{name}.md")), &table)?;
    Ok(table)
}

/// The end of a benchmark: what went wrong, in one line, and the exit code.
pub fn exit(outcome: Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The value below which `percent` of the values lie (nearest rank); 0 without values.
pub fn percentile(values: &[f64], percent: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (percent / 100.0 * (sorted.len().saturating_sub(1)) as f64).round() as usize;
    sorted.get(rank).copied().unwrap_or_default()
}

fn table(rows: &[Row]) -> String {
    let mut text = String::from("| measure | ours | unit | peer | theirs | ratio | at least | spread |\n");
    text.push_str("|---|---|---|---|---|---|---|---|\n");
    let optional = |value: Option<f64>| value.map_or_else(|| "-".into(), number);
    for row in rows {
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} | {:.0} % |",
            row.measure,
            number(row.ours),
            row.unit,
            row.peer.as_deref().unwrap_or("-"),
            optional(row.theirs),
            optional(row.ratio),
            optional(row.at_least),
            row.spread * 100.0
        );
    }
    text
}

fn number(value: f64) -> String {
    if value >= 1000.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}

fn results() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("results")
}

/// The commit that was measured, with `+` when the tree had changes; "unknown" outside a clone.
fn commit() -> String {
    let git = |args: &[&str]| {
        let output = Command::new("git").current_dir(env!("CARGO_MANIFEST_DIR")).args(args).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "--short", "HEAD"]) else { return "unknown".into() };
    let changed =
        git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|text| !text.is_empty());
    if changed { commit + "+" } else { commit }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let values = [5.0, 1.0, 3.0, 2.0, 4.0];
        assert_eq!([0.0, 50.0, 95.0, 100.0].map(|p| percentile(&values, p)), [1.0, 3.0, 5.0, 5.0]);
        assert_eq!(percentile(&[], 50.0), 0.0);
    }

    #[test]
    fn a_budget_that_is_kept_has_a_ratio_over_one() {
        let row = Row::of("latency", "s", vec![1.0, 2.0, 1.5]).within("budget", 3.0);
        assert_eq!((row.ours, row.ratio, row.at_least), (1.5, Some(2.0), Some(1.0)));
        assert!(table(&[row]).contains("| latency | 1.50 | s | budget | 3.00 | 2.00 | 1.00 |"));
    }
}
