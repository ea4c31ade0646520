//! CPU time of a process (all its threads, user and system) and cores of the machine, from proc(5).

use anyhow::{Context as _, Result};

/// Seconds of CPU that process `id` has used.
pub fn seconds(id: i32) -> Result<f64> {
    let stat =
        std::fs::read_to_string(format!("/proc/{id}/stat")).with_context(|| format!("process {id}"))?;
    // The name, in parentheses, may hold anything: fields are counted after it. utime and stime are 14 and 15.
    let (_, rest) = stat.rsplit_once(')').context("no name in stat")?;
    let field = |number: usize| -> Result<f64> {
        Ok(rest.split_whitespace().nth(number - 3).context("stat is short")?.parse()?)
    };
    Ok((field(14)? + field(15)?) / TICKS)
}

/// Cores of the machine, whatever this process may use of them.
pub fn cores() -> Result<usize> {
    let cpus = std::fs::read_to_string("/proc/cpuinfo").context("reading /proc/cpuinfo")?;
    Ok(cpus.lines().filter(|line| line.starts_with("processor")).count())
}

/// `sysconf(_SC_CLK_TCK)`, 100 on every Linux that is built today.
const TICKS: f64 = 100.0;
