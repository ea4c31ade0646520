//! What origins have not heard yet. No IO and no clock: handed over with every answer to a heartbeat until the next
//! heartbeat says that it has arrived.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use nearcast_api::metadata::{Command, Metadata};
use nearcast_api::{BroadcastId, ChannelId, NodeId};

/// A queue for each origin.
#[derive(Debug)]
pub struct Outbox {
    next: u64,
    waiting: BTreeMap<NodeId, VecDeque<(Command, Instant)>>,
}

/// An origin that does not take what waits for it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{MAX_WAITING} events wait for origin {0} already: send fewer at a time")]
pub struct Full(pub NodeId);

impl Outbox {
    /// Empty. Numbers begin with `first`, which must be above all of an outbox before it.
    pub fn new(first: u64) -> Self {
        Self { next: first, waiting: BTreeMap::new() }
    }

    /// Queues metadata for an origin.
    pub fn push(
        &mut self,
        origin: &NodeId,
        (channel, broadcast): (ChannelId, BroadcastId),
        metadata: Metadata,
        now: Instant,
    ) -> Result<(), Full> {
        let waiting = self.waiting.entry(origin.clone()).or_default();
        waiting.retain(|(_, until)| now < *until);
        if waiting.len() >= MAX_WAITING {
            return Err(Full(origin.clone()));
        }
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        waiting.push_back((Command { number, channel, broadcast, metadata }, now + LIFE));
        Ok(())
    }

    /// The origin has these.
    pub fn acknowledge(&mut self, origin: &NodeId, received: &[u64]) {
        if let Some(waiting) = self.waiting.get_mut(origin) {
            waiting.retain(|(command, _)| !received.contains(&command.number));
        }
    }

    /// What to tell the origin now, oldest first, and how many were given up because it did not take them in time.
    pub fn pending(&mut self, origin: &NodeId, now: Instant) -> (Vec<Command>, usize) {
        let Some(waiting) = self.waiting.get_mut(origin) else { return (Vec::new(), 0) };
        let before = waiting.len();
        waiting.retain(|(_, until)| now < *until);
        let expired = before - waiting.len();
        let pending = waiting.iter().take(MAX_AT_ONCE).map(|(command, _)| command.clone()).collect();
        if waiting.is_empty() {
            self.waiting.remove(origin);
        }
        (pending, expired)
    }
}

/// Of one origin.
pub const MAX_WAITING: usize = 256;
/// In one answer: well below a megabyte.
const MAX_AT_ONCE: usize = 64;
/// An origin that is away for longer is down, and its broadcasts with it.
pub const LIFE: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    fn push(outbox: &mut Outbox, origin: &str, id: &str, now: Instant) -> Result<(), Full> {
        let to = ("demo".parse().unwrap(), "b1".parse().unwrap());
        let metadata = Metadata { id: id.into(), ..Metadata::default() };
        outbox.push(&origin.parse().unwrap(), to, metadata, now)
    }

    fn pending(outbox: &mut Outbox, origin: &str, now: Instant) -> (Vec<(u64, String)>, usize) {
        let (commands, expired) = outbox.pending(&origin.parse().unwrap(), now);
        (commands.into_iter().map(|command| (command.number, command.metadata.id)).collect(), expired)
    }

    #[test]
    fn what_is_not_acknowledged_is_told_again() {
        let (mut outbox, now) = (Outbox::new(7), Instant::now());
        for (origin, id) in [("o-1", "a"), ("o-1", "b"), ("o-2", "c")] {
            push(&mut outbox, origin, id, now).unwrap();
        }
        let both = vec![(7, "a".to_owned()), (8, "b".to_owned())];
        assert_eq!(pending(&mut outbox, "o-1", now), (both.clone(), 0));
        assert_eq!(pending(&mut outbox, "o-1", now), (both, 0), "the answer was lost");
        // Another origin's number is not its own.
        outbox.acknowledge(&"o-1".parse().unwrap(), &[7, 9, 100]);
        assert_eq!(pending(&mut outbox, "o-1", now), (vec![(8, "b".into())], 0));
        outbox.acknowledge(&"o-1".parse().unwrap(), &[8]);
        assert_eq!(pending(&mut outbox, "o-1", now), (Vec::new(), 0));
        assert_eq!(pending(&mut outbox, "o-2", now).0.len(), 1);
        assert_eq!(outbox.waiting.len(), 1);
    }

    #[test]
    fn a_queue_is_bounded_and_forgets_what_nobody_takes() {
        let (mut outbox, now) = (Outbox::new(0), Instant::now());
        for index in 0..MAX_WAITING {
            push(&mut outbox, "o-1", &index.to_string(), now).unwrap();
        }
        assert_eq!(push(&mut outbox, "o-1", "more", now), Err(Full("o-1".parse().unwrap())));
        assert_eq!(pending(&mut outbox, "o-1", now).0.len(), MAX_AT_ONCE);
        let later = now + LIFE;
        push(&mut outbox, "o-1", "later", later).unwrap();
        assert_eq!(pending(&mut outbox, "o-1", later).0.len(), 1);
        assert_eq!(pending(&mut outbox, "o-1", later + LIFE), (Vec::new(), 1));
        assert!(outbox.waiting.is_empty());
    }
}
