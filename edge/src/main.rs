//! `nearcast-edge`: caches media in memory and serves it over HTTP/1.1, 2 and 3.

use std::process::ExitCode;

use nearcast_edge::{Config, run};
use nearcast_service::daemon;

fn main() -> ExitCode {
    daemon::main("nearcast-edge", env!("CARGO_PKG_VERSION"), async |config: Config, daemon| {
        run(config, daemon).await.map(drop)
    })
}
