//! `nearcast-origin`: takes publishers, makes the ladder, and serves it to edges.

use std::process::ExitCode;

use nearcast_origin::transcode::child;
use nearcast_origin::{Config, run};
use nearcast_service::daemon;

#[global_allocator]
static ALLOCATOR: nearcast_service::Allocator = nearcast_service::Allocator;

fn main() -> ExitCode {
    // The origin runs this binary again for each broadcast; people have no use for it.
    if std::env::args_os().nth(1).is_some_and(|argument| argument == child::SUBCOMMAND) {
        return child::main();
    }
    daemon::main("nearcast-origin", env!("CARGO_PKG_VERSION"), async |config: Config, daemon| {
        run(config, daemon).await.map(drop)
    })
}
