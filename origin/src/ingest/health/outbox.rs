//! Events on their way to the control plane: kept, in order, until it says that it has them.

use std::collections::VecDeque;

use nearcast_api::ingest::{Acknowledged, Event, Events, Kind};
use nearcast_api::{BroadcastId, ChannelId};

/// What has not been acknowledged, oldest first, at most [`KEPT`].
#[derive(Debug)]
pub(super) struct Outbox {
    epoch: u64,
    seq: u64,
    events: VecDeque<Event>,
}

/// An event without its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct News {
    pub(super) channel: ChannelId,
    pub(super) broadcast: Option<BroadcastId>,
    pub(super) kind: Kind,
    pub(super) code: String,
    pub(super) text: String,
}

impl Outbox {
    /// `epoch` is when the origin started, in milliseconds since the Unix epoch.
    pub(super) fn new(epoch: u64) -> Self {
        Self { epoch, seq: 0, events: VecDeque::new() }
    }

    /// Adds an event that happened `at`. False when the oldest one had to go for it.
    pub(super) fn push(&mut self, at: u64, news: News) -> bool {
        let News { channel, broadcast, kind, code, text } = news;
        self.seq += 1;
        self.events.push_back(Event { seq: self.seq, at, channel, broadcast, kind, code, text });
        let fits = self.events.len() <= KEPT;
        if !fits {
            self.events.pop_front();
        }
        fits
    }

    /// What the next heartbeat takes along.
    pub(super) fn pending(&self) -> Option<Events> {
        let events: Vec<Event> = self.events.iter().take(AT_ONCE).cloned().collect();
        (!events.is_empty()).then_some(Events { epoch: self.epoch, events })
    }

    /// Forgets what has arrived.
    pub(super) fn acknowledge(&mut self, Acknowledged { epoch, seq }: Acknowledged) {
        if epoch == self.epoch {
            self.events.retain(|event| event.seq > seq);
        }
    }
}

/// Hours of an ordinary day while the control plane is away, and half a megabyte at most.
const KEPT: usize = 1_024;
/// So that a heartbeat stays small after an outage; the next one has the next.
const AT_ONCE: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn news(text: &str) -> News {
        let channel = "demo".parse().unwrap();
        News { channel, broadcast: None, kind: Kind::Started, code: String::new(), text: text.into() }
    }

    fn pending(outbox: &Outbox) -> Vec<u64> {
        outbox
            .pending()
            .map(|events| events.events.iter().map(|event| event.seq).collect())
            .unwrap_or_default()
    }

    #[test]
    fn events_come_again_until_they_are_acknowledged() {
        let mut outbox = Outbox::new(7);
        assert_eq!(outbox.pending(), None);
        assert!(outbox.push(1, news("a")) && outbox.push(2, news("b")));
        assert_eq!((pending(&outbox), pending(&outbox)), (vec![1, 2], vec![1, 2]));
        outbox.acknowledge(Acknowledged { epoch: 6, seq: 2 });
        assert_eq!(pending(&outbox), [1, 2], "another life's numbers");
        outbox.acknowledge(Acknowledged { epoch: 7, seq: 1 });
        assert_eq!(pending(&outbox), [2]);
    }

    #[test]
    fn a_control_plane_that_stays_away_costs_the_oldest_events() {
        let mut outbox = Outbox::new(7);
        let lost = (0..KEPT + 3).filter(|_| !outbox.push(1, news("x"))).count();
        assert_eq!((lost, outbox.events.len(), pending(&outbox).len()), (3, KEPT, AT_ONCE));
        assert_eq!(pending(&outbox)[0], 4);
    }
}
