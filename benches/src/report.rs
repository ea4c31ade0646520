//! Results: `benches/results/{name}.json`, and the same as a Markdown table and a plot.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::Result;
use serde::Serialize;

use crate::{cpu, plot};

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
    /// The peer's runs, taken in turns with ours, and their spread.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub their_runs: Vec<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub their_spread: Option<f64>,
    /// What else to know of the runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Which of two values is the better one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Better {
    Higher,
    Lower,
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
        let (ours, spread) = middle(&runs);
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

    /// Compared with `peer`, whose runs were taken in turns with ours.
    #[must_use]
    pub fn against(mut self, peer: &str, runs: Vec<f64>, better: Better, at_least: Option<f64>) -> Self {
        let (theirs, spread) = middle(&runs);
        self.peer = Some(peer.into());
        self.theirs = Some(theirs);
        self.ratio = Some(match better {
            Better::Higher => self.ours / theirs,
            Better::Lower => theirs / self.ours,
        });
        self.at_least = at_least;
        self.their_runs = runs;
        self.their_spread = Some(spread);
        self
    }

    #[must_use]
    pub fn noted(mut self, note: String) -> Self {
        self.note = Some(note);
        self
    }
}

/// Median, and what lies between the smallest and the largest as a share of it.
fn middle(runs: &[f64]) -> (f64, f64) {
    let median = percentile(runs, 50.0);
    let (low, high) = (percentile(runs, 0.0), percentile(runs, 100.0));
    (median, if median == 0.0 { 0.0 } else { (high - low) / median })
}

/// Writes the files and returns the table.
pub fn write(name: &str, rows: &[Row]) -> Result<String> {
    write_with_notes(name, rows, &[])
}

/// The same with sentences under the table: how it was measured, what was left out.
pub fn write_with_notes(name: &str, rows: &[Row], notes: &[String]) -> Result<String> {
    let folder = results();
    std::fs::create_dir_all(&folder)?;
    let commit = commit();
    let cores = cpu::cores()?;
    let marked: Vec<_> = rows.iter().map(|row| Marked { row, commit: &commit, cores }).collect();
    std::fs::write(folder.join(format!("{name}.json")), serde_json::to_string_pretty(&marked)? + "\n")?;
    let mut table = table(rows) + &format!("\nCommit {commit}, {cores} cores.\n");
    let noted = rows.iter().filter_map(|row| {
        let peer = row.peer.as_deref().unwrap_or("-");
        row.note.as_ref().map(|note| format!("{} / {peer}: {note}", row.measure))
    });
    let notes: Vec<_> = notes.iter().cloned().chain(noted).collect();
    if !notes.is_empty() {
        table.push('\n');
    }
    table.extend(notes.iter().map(|note| format!("- {note}\n")));
    if let Some(plot) = plot::ratios(rows) {
        std::fs::write(folder.join(format!("{name}.svg")), plot)?;
    }
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

/// The rows as a Markdown table.
pub fn table(rows: &[Row]) -> String {
    let mut text = String::from("| measure | ours | unit | peer | theirs | ratio | at least | spread |\n");
    text.push_str("|---|---|---|---|---|---|---|---|\n");
    let optional = |value: Option<f64>| value.map_or_else(|| "-".into(), number);
    for row in rows {
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} | {} |",
            row.measure,
            number(row.ours),
            row.unit,
            row.peer.as_deref().unwrap_or("-"),
            optional(row.theirs),
            optional(row.ratio),
            optional(row.at_least),
            spread(row)
        );
    }
    text
}

/// Of our runs, and of the peer's.
fn spread(row: &Row) -> String {
    let ours = row.spread * 100.0;
    match row.their_spread {
        Some(theirs) => format!("{ours:.0} / {:.0} %", theirs * 100.0),
        None => format!("{ours:.0} %"),
    }
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

    #[test]
    fn a_peer_that_takes_longer_or_serves_less_gives_a_ratio_over_one() {
        let row = || Row::of("fetches", "n", vec![2.0, 1.0, 2.0]);
        let lower = row().against("peer 1.0", vec![4.0, 4.0, 5.0], Better::Lower, Some(1.0));
        assert_eq!((lower.ratio, lower.their_spread), (Some(2.0), Some(0.25)));
        let higher = row().against("peer 1.0", vec![1.0, 1.0, 1.0], Better::Higher, None);
        assert_eq!(higher.ratio, Some(2.0));
        assert!(table(&[higher]).contains("| peer 1.0 | 1.00 | 2.00 | - | 50 / 0 % |"));
    }
}
