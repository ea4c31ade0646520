//! Changes of the topology, explained before they are made: what differs, and who feels it. Pure.

mod diff;
mod effect;
mod report;

pub use diff::Difference;
pub use report::{Finding, Report, Severity, report};
