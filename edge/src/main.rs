//! `nearcast-edge`: caches media in memory and serves it over HTTP/1.1, 2 and 3.

use std::process::ExitCode;

use nearcast_edge::{Config, run};
use nearcast_service::daemon;

#[global_allocator]
static ALLOCATOR: nearcast_service::Allocator = nearcast_service::Allocator;

fn main() -> ExitCode {
    daemon::main("nearcast-edge", env!("CARGO_PKG_VERSION"), async |config: Config, daemon| {
        run(config, daemon).await.map(drop)
    })
}
