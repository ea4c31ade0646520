//! What the benchmarks share: results as files, CPU time of processes, a picture that tells the time; and for edges
//! side by side, the servers, the origin before them, and the load.

pub mod clock;
pub mod contest;
pub mod cpu;
pub mod crowd;
pub mod crowds;
pub mod feeder;
pub mod h3;
pub mod handler;
pub mod hits;
pub mod load;
pub mod memory;
pub mod peers;
pub mod plot;
pub mod profile;
pub mod report;
pub mod server;
pub mod site;

mod live;
