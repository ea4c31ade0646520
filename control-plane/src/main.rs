//! `nearcast-control`: the control plane as a process, and the commands that ask one.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: nearcast_service::Allocator = nearcast_service::Allocator;

fn main() -> ExitCode {
    if let Some(code) = nearcast_control::cli::run(std::env::args_os()) {
        return code;
    }
    let run = async |config, daemon| nearcast_control::run(config, daemon).await.map(drop);
    nearcast_service::daemon::main("nearcast-control", env!("CARGO_PKG_VERSION"), run)
}
