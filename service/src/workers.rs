//! The threads that serve: one work-stealing pool, or a runtime per core with listening sockets of its own.

use std::io;

use tokio::runtime::{Builder, Handle};

use crate::drain::Drain;

/// Where connections are served: each handle is a runtime.
#[derive(Debug, Clone)]
pub(crate) struct Workers(Vec<Handle>);

impl Workers {
    /// `count` threads with a runtime each; for 0 the runtime of the caller, whose threads steal work of each other.
    /// The threads end with the drain.
    pub(crate) fn start(count: u8, drain: &Drain) -> io::Result<Self> {
        if count == 0 {
            return Ok(Self(vec![Handle::current()]));
        }
        (0..count).map(|index| start(index, drain.clone())).collect::<io::Result<_>>().map(Self)
    }

    /// How many listening sockets of each kind they want.
    pub(crate) fn sockets(&self) -> usize {
        self.0.len()
    }

    /// The one for the socket of this number; there may be more sockets than runtimes.
    pub(crate) fn of(&self, socket: usize) -> &Handle {
        &self.0[socket % self.0.len()]
    }
}

fn start(index: u8, drain: Drain) -> io::Result<Handle> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    let thread = std::thread::Builder::new().name(format!("worker-{index}"));
    thread.spawn(move || {
        runtime.block_on(async {
            drain.draining().await;
            drain.ended().await;
        });
    })?;
    Ok(handle)
}
