//! `nearcast-control`: the control plane as a process.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: nearcast_service::Allocator = nearcast_service::Allocator;

fn main() -> ExitCode {
    let run = async |config, daemon| nearcast_control::run(config, daemon).await.map(drop);
    nearcast_service::daemon::main("nearcast-control", env!("CARGO_PKG_VERSION"), run)
}
