//! What every Nearcast daemon wears: configuration, logs, metrics, TLS, HTTP listeners, drain and the
//! control-plane client.

pub mod backoff;
mod cli;
pub mod config;
pub mod daemon;
pub mod drain;
mod error;
pub mod http;
pub mod load;
pub mod log;
pub mod metrics;
pub mod ops;
mod panics;
mod process;
pub mod ready;
pub mod tls;

pub use error::{Error, Result};
