//! How busy the process is, for heartbeats.

use std::time::Instant;

use crate::process;

/// Measures the process's share of the machine between two calls.
#[derive(Debug)]
pub struct Sampler {
    cores: f64,
    last: Option<(Instant, f64)>,
}

impl Sampler {
    /// Starts measuring now.
    pub fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as f64;
        Self { cores, last: process::cpu_seconds().map(|cpu| (Instant::now(), cpu)) }
    }

    /// Share of all cores the process has used since the last call, 0 to 1. 0 where it cannot be known.
    pub fn cpu(&mut self) -> f32 {
        let Some(cpu) = process::cpu_seconds() else { return 0.0 };
        let now = Instant::now();
        let share = match self.last.replace((now, cpu)) {
            Some((then, before)) => share(cpu - before, (now - then).as_secs_f64(), self.cores),
            None => 0.0,
        };
        share as f32
    }
}

impl Default for Sampler {
    fn default() -> Self {
        Self::new()
    }
}

fn share(cpu: f64, wall: f64, cores: f64) -> f64 {
    if wall > 0.0 { (cpu / wall / cores).clamp(0.0, 1.0) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_of_all_cores_and_never_outside_0_to_1() {
        assert_eq!(share(1.0, 1.0, 2.0), 0.5);
        assert_eq!(share(3.0, 1.0, 2.0), 1.0);
        assert_eq!(share(1.0, 0.0, 2.0), 0.0);
        assert!((0.0..=1.0).contains(&Sampler::new().cpu()));
    }
}
