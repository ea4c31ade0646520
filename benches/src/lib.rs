//! What the benchmarks share: results as files, CPU time of processes, load, a picture that tells the time.

pub mod clock;
pub mod cpu;
pub mod load;
pub mod memory;
pub mod report;
pub mod stage;
