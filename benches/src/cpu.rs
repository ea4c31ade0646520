//! CPU time of a process (all its threads, user and system) and cores of the machine, from proc(5).

use anyhow::{Context as _, Result};

/// Seconds of CPU that process `id` has used.
pub fn seconds(id: i32) -> Result<f64> {
    // utime and stime
    sum(id, &[14, 15])
}

/// The same, and what those of its children used that have ended and been waited for.
pub fn seconds_with_children(id: i32) -> Result<f64> {
    // cutime and cstime as well
    sum(id, &[14, 15, 16, 17])
}

/// The process, its children and theirs.
pub fn tree(id: i32) -> Vec<i32> {
    // One that has just ended has none.
    let children = children(id).unwrap_or_default();
    std::iter::once(id).chain(children.into_iter().flat_map(tree)).collect()
}

/// Whether process `id` has a child.
pub fn has_children(id: i32) -> Result<bool> {
    Ok(!children(id)?.is_empty())
}

fn children(id: i32) -> Result<Vec<i32>> {
    let tasks = std::fs::read_dir(format!("/proc/{id}/task")).with_context(|| format!("process {id}"))?;
    let mut ids = Vec::new();
    for task in tasks {
        // A thread may end while it is looked at.
        let children = std::fs::read_to_string(task?.path().join("children")).unwrap_or_default();
        ids.extend(children.split_whitespace().filter_map(|id| id.parse::<i32>().ok()));
    }
    Ok(ids)
}

/// Adds up fields of `/proc/{id}/stat`, in seconds.
fn sum(id: i32, fields: &[usize]) -> Result<f64> {
    let stat =
        std::fs::read_to_string(format!("/proc/{id}/stat")).with_context(|| format!("process {id}"))?;
    // The name, in parentheses, may hold anything: fields are counted after it.
    let (_, rest) = stat.rsplit_once(')').context("no name in stat")?;
    let field = |number: &usize| -> Result<f64> {
        Ok(rest.split_whitespace().nth(number - 3).context("stat is short")?.parse()?)
    };
    Ok(fields.iter().map(field).sum::<Result<f64>>()? / TICKS)
}

/// Cores of the machine, whatever this process may use of them.
pub fn cores() -> Result<usize> {
    let cpus = std::fs::read_to_string("/proc/cpuinfo").context("reading /proc/cpuinfo")?;
    Ok(cpus.lines().filter(|line| line.starts_with("processor")).count())
}

/// `sysconf(_SC_CLK_TCK)`, 100 on every Linux that is built today.
const TICKS: f64 = 100.0;
