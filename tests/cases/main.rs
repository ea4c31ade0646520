//! System tests: what a publisher, a viewer and an operator see of a whole platform, in real processes.
//!
//! Cases that kill nothing share one world and its broadcast; the others start their own.

#[cfg(test)]
mod access;
#[cfg(test)]
mod acme;
#[cfg(test)]
mod audience;
#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod cli;
#[cfg(test)]
mod codecs;
#[cfg(test)]
mod dash;
#[cfg(test)]
mod encoders;
mod enrol;
#[cfg(test)]
mod failover;
#[cfg(test)]
mod footage;
#[cfg(test)]
mod hls;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod ingest;
#[cfg(test)]
mod instances;
mod ladder;
#[cfg(test)]
mod lifecycle;
#[cfg(test)]
mod moved;
#[cfg(test)]
mod multitrack;
mod oidc;
#[cfg(test)]
mod openapi;
#[cfg(test)]
mod outage;
#[cfg(test)]
mod page;
#[cfg(test)]
mod playback;
#[cfg(test)]
mod reconnect;
#[cfg(test)]
mod record;
#[cfg(test)]
mod routes;
#[cfg(test)]
mod sound;
#[cfg(test)]
mod srt;
#[cfg(test)]
mod stampede;
#[cfg(test)]
mod startup;
#[cfg(test)]
mod thumbs;
#[cfg(test)]
mod tiers;
#[cfg(test)]
mod topology;
#[cfg(test)]
mod two_origins;
#[cfg(test)]
mod upgrade;

use std::sync::LazyLock;

use nearcast_tests::publisher::Feed;
use nearcast_tests::world::World;

/// The shared world, with `demo` live in 720p from a test pattern. It ends with the test program.
pub fn shared() -> &'static World {
    &SHARED
}

static SHARED: LazyLock<World> = LazyLock::new(|| {
    let (sender, receiver) = std::sync::mpsc::sync_channel(1);
    // Programs die with the thread that started them: this one lives as long as the tests do.
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime for the shared world");
        runtime.block_on(async move {
            // So many viewers come at once that rungs woken up by them would have to shed frames; `ladder` has those.
            let always = "[transcode]\non_demand = false\n";
            let world = World::builder("shared").setting("origin-1", always).start().await;
            let live = match world {
                Ok(world) => world.broadcast("demo", &Feed::pattern(720)).await.map(|live| (world, live)),
                Err(error) => Err(error),
            };
            match live {
                Ok((world, publisher)) => {
                    let _ = sender.send(Ok(world));
                    std::future::pending::<()>().await;
                    drop(publisher);
                }
                Err(error) => drop(sender.send(Err(error))),
            }
        });
    });
    match receiver.recv() {
        Ok(Ok(world)) => world,
        Ok(Err(error)) => panic!("the shared world did not start: {error:#}"),
        Err(error) => panic!("the shared world did not start: {error}"),
    }
});
