//! Resident memory of a process, from proc(5).

use anyhow::{Context as _, Result};

/// MiB that process `id` holds now.
pub fn resident(id: i32) -> Result<f64> {
    let status =
        std::fs::read_to_string(format!("/proc/{id}/status")).with_context(|| format!("process {id}"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS in status")?;
    let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib / 1024.0)
}
