//! What a broadcast's children of one kind are started with.

use super::sink::Sink;
use super::wire::{self, Request, Source, Task};

/// The same for every child but for its source and how far those before it have come.
#[derive(Debug, Clone)]
pub(super) enum Job {
    Pictures(wire::Start),
    Sound(wire::sound::Start),
}

impl Job {
    /// How many renditions it makes.
    pub(super) fn rungs(&self) -> usize {
        match self {
            Self::Pictures(start) => start.rungs.len(),
            Self::Sound(start) => start.rungs.len(),
        }
    }

    /// What the first child is given.
    pub(super) fn source(&self) -> &Source {
        match self {
            Self::Pictures(start) => &start.source,
            Self::Sound(start) => &start.source,
        }
    }

    /// The first message to the next child: it makes the rungs that are `wanted`, and goes on where the last one
    /// stopped.
    pub(super) fn start(&self, source: &Source, wanted: u8, sink: &Sink) -> Request {
        match self {
            Self::Pictures(start) => {
                let mut start = wire::Start { source: source.clone(), ..start.clone() };
                for (index, rung) in start.rungs.iter_mut().enumerate() {
                    rung.after = sink.newest(index);
                    rung.task = match sink.is_described(index) {
                        _ if wanted & 1 << index != 0 => Task::Encode,
                        true => Task::Nothing,
                        false => Task::Describe,
                    };
                }
                Request::Start(start)
            }
            Self::Sound(start) => {
                let mut start = wire::sound::Start { source: source.clone(), ..start.clone() };
                let rungs = start.rungs.iter_mut().enumerate();
                rungs.for_each(|(index, rung)| rung.after = sink.newest(index));
                Request::Sound(start)
            }
        }
    }
}
