//! How publishers do: measured from their frames, told as metrics, in heartbeats and as events.
//!
//! [`monitor`] is the core: it measures ([`window`], [`pictures`]), judges ([`advice`]) and does not flap ([`alarm`]).
//! [`lines`] has those of one channel. [`Board`] is the shell around all channels, and [`Probe`] a publisher's side of it.

mod advice;
mod alarm;
mod board;
mod lines;
mod metrics;
mod monitor;
mod outbox;
mod pictures;
mod probe;
mod window;

pub(super) use advice::{bits, short};
pub use board::Board;
pub use monitor::Source;
pub use probe::Probe;
