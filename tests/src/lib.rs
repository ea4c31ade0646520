//! The harness of the system tests.
pub mod client;
pub mod player;
