//! What every Nearcast daemon wears: configuration, logs, metrics, TLS, HTTP listeners, drain and the
//! control-plane client.
//!
//! # How a daemon starts and stops
//! 1. [`daemon::main`] reads the command line. `--help`, `--version` and `--check-config` answer and exit.
//! 2. [`config::load`] merges the daemon's defaults, the TOML file and the environment. A mistake is one line and
//!    exit code 2.
//! 3. [`log::init`]; from here every sentence is a log line, panics too.
//! 4. [`ops::serve`] binds `/healthz`, `/readyz` (503 so far) and `/metrics`.
//! 5. The daemon's own `run(config, daemon)` binds first ([`http::Server::bind`]), so that a port in use is exit
//!    code 1 and one line; then it starts its tasks through [`drain::Drain::spawn`],
//!    [`http::Server::serve`] and [`control::Client::start`], and returns.
//! 6. When no part holds [`ready::Latch`] any more, `/readyz` says 200.
//! 7. SIGTERM, SIGINT or [`daemon::Daemon::fail`] begin the drain: `/readyz` says 503, listeners take what the
//!    kernel already accepted and close, the last heartbeat says `draining`, HTTP clients are told to go elsewhere
//!    (GOAWAY, `Connection: close`) and get what they have asked for.
//! 8. When all tasks are done, or at `drain.deadline`, or on a second signal, the process exits: 0, or 1 after
//!    `fail`.
//!
//! ```no_run
//! use std::process::ExitCode;
//!
//! use nearcast_service::daemon::{self, Daemon};
//! use nearcast_service::{config, drain, http, log, ops, tls};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Debug, Default, Serialize, Deserialize)]
//! #[serde(default, deny_unknown_fields)]
//! struct Config {
//!     http: http::Config,
//!     tls: tls::Config,
//!     log: log::Config,
//!     ops: ops::Config,
//!     drain: drain::Config,
//! }
//!
//! impl daemon::Config for Config {
//!     fn log(&self) -> &log::Config {
//!         &self.log
//!     }
//!     fn ops(&self) -> &ops::Config {
//!         &self.ops
//!     }
//!     fn drain(&self) -> &drain::Config {
//!         &self.drain
//!     }
//! }
//!
//! async fn run(config: Config, daemon: Daemon) -> nearcast_service::Result<()> {
//!     let server = http::Server::bind(&config.http, &config.tls, &daemon).await?;
//!     server.serve(|_request| async { http::Response::new("hello\n".into()) })
//! }
//!
//! fn main() -> ExitCode {
//!     daemon::main("nearcast-hello", env!("CARGO_PKG_VERSION"), run)
//! }
//! ```

pub mod backoff;
mod cli;
pub mod client;
pub mod config;
pub mod control;
pub mod daemon;
pub mod drain;
mod error;
mod files;
pub mod fleet;
pub mod http;
pub mod load;
pub mod log;
pub mod metrics;
pub mod ops;
mod panics;
mod process;
pub mod quic;
pub mod ready;
pub mod sockets;
pub mod tls;
mod workers;

pub use error::{Error, Result};

/// What each daemon's program allocates from. Media of every size comes and goes for months: what it leaves behind in the C
/// library's allocator are holes, and a process that grows for ten minutes and may not stop there.
pub use tikv_jemallocator::Jemalloc as Allocator;
