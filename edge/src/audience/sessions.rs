//! Who is watching: one small entry per player, kept for ten seconds after its last request.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::counters::{Player, Seat};

/// The table. Somebody calls [`Sessions::tick`] once a second.
#[derive(Debug)]
pub struct Sessions {
    shards: Box<[Mutex<HashMap<u64, Session>>]>,
    /// Seconds since the start.
    second: AtomicUsize,
    count: AtomicUsize,
    limit: usize,
    /// The players of viewers whose tokens say how many they may have, and when each was last seen.
    limited: Mutex<HashMap<u64, Vec<(u64, usize)>>>,
    hasher: RandomState,
}

#[derive(Debug)]
struct Session {
    seat: Seat,
    player: Player,
    last: usize,
}

/// Who a session is told from others by: whose hash is the same is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Id(u64);

impl Sessions {
    /// A table of at most `limit` sessions; more are served, but not counted.
    pub fn new(limit: usize) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            second: AtomicUsize::new(0),
            count: AtomicUsize::new(0),
            limit,
            limited: Mutex::default(),
            hasher: RandomState::new(),
        }
    }

    /// What the session of such a viewer is called here.
    pub fn id(&self, viewer: impl Hash) -> Id {
        Id(self.hasher.hash_one(viewer))
    }

    /// Whether a session has been seen in the last ten seconds.
    pub fn knows(&self, id: Id) -> bool {
        self.shard(id).contains_key(&id.0)
    }

    /// Whether `viewer` may watch with this player beside their others, `most` in all. One that does already may go on.
    pub fn may_watch(&self, player: impl Hash, viewer: impl Hash, most: u32) -> bool {
        let (player, now) = (self.hasher.hash_one(player), self.second.load(Ordering::Relaxed));
        let mut limited = self.limited.lock().unwrap_or_else(PoisonError::into_inner);
        let running = limited.entry(self.hasher.hash_one(viewer)).or_default();
        running.retain(|(other, last)| *other != player && now - last <= SILENCE);
        let room = running.len() < usize::try_from(most).unwrap_or(usize::MAX);
        if room {
            running.push((player, now));
        }
        room
    }

    /// A session has been given something: where that is counted. A new one takes the `seat` it is shown to, and none where
    /// there is no room for it.
    pub fn saw(&self, id: Id, player: Option<Player>, seat: impl FnOnce() -> Option<Seat>) -> Option<Seat> {
        let last = self.second.load(Ordering::Relaxed);
        match self.shard(id).entry(id.0) {
            Entry::Occupied(mut known) => {
                let session = known.get_mut();
                session.last = last;
                session.player = player.unwrap_or(session.player);
                Some(session.seat.clone())
            }
            Entry::Vacant(_) if self.count.load(Ordering::Relaxed) >= self.limit => None,
            Entry::Vacant(new) => {
                let seat = seat()?;
                self.count.fetch_add(1, Ordering::Relaxed);
                new.insert(Session { seat: seat.clone(), player: player.unwrap_or_default(), last });
                Some(seat)
            }
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// A second has passed: those silent for ten are over. `tell` hears of each that is left.
    pub fn tick(&self, mut tell: impl FnMut(&Seat, Player)) {
        let now = self.second.fetch_add(1, Ordering::Relaxed) + 1;
        for shard in &self.shards {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            let before = shard.len();
            shard.retain(|_, session| now - session.last <= SILENCE);
            self.count.fetch_sub(before - shard.len(), Ordering::Relaxed);
            shard.values().for_each(|session| tell(&session.seat, session.player));
            if shard.capacity() > 4 * shard.len() + 64 {
                shard.shrink_to_fit();
            }
        }
        let mut limited = self.limited.lock().unwrap_or_else(PoisonError::into_inner);
        limited.retain(|_, running| {
            running.retain(|(_, last)| now - last <= SILENCE);
            !running.is_empty()
        });
    }

    fn shard(&self, id: Id) -> MutexGuard<'_, HashMap<u64, Session>> {
        self.shards[id.0 as usize % SHARDS].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Enough that two cores seldom want the same one.
const SHARDS: usize = 64;
/// Seconds without a request after which nobody is there any more.
const SILENCE: usize = 10;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::counters::Counters;
    use super::*;

    fn seat() -> Option<Seat> {
        Some(Seat { channel: Arc::new(Counters::new("demo".into())), country: None })
    }

    fn watching(sessions: &Sessions) -> Vec<Player> {
        let mut players = Vec::new();
        sessions.tick(|_, player| players.push(player));
        players
    }

    #[test]
    fn a_session_counts_once_and_for_ten_seconds() {
        let sessions = Sessions::new(10);
        let id = sessions.id(("192.0.2.1", "player"));
        let first = sessions.saw(id, None, seat).unwrap();
        for player in [None, Some(Player::Dash)] {
            let seat = sessions.saw(id, player, || panic!("it has a seat")).unwrap();
            assert!(Arc::ptr_eq(&seat.channel, &first.channel));
        }
        assert_eq!((sessions.count(), sessions.knows(id)), (1, true));
        assert_eq!((0..10).map(|_| watching(&sessions).len()).sum::<usize>(), 10);
        assert_eq!(watching(&sessions).len(), 0, "it has been silent for eleven seconds");
        assert_eq!((sessions.count(), sessions.knows(id)), (0, false));
    }

    #[test]
    fn a_full_table_takes_no_more_and_forgets_nobody() {
        let sessions = Sessions::new(2);
        let ids = [1, 2, 3].map(|viewer| sessions.id(viewer));
        assert_eq!(ids.map(|id| sessions.saw(id, None, seat).is_some()), [true, true, false]);
        assert!(sessions.saw(ids[0], None, seat).is_some());
        assert_eq!(sessions.count(), 2);
    }

    #[test]
    fn a_viewer_has_as_many_sessions_as_the_token_says() {
        let sessions = Sessions::new(10);
        let watch = |player| sessions.may_watch(player, "anna", 2);
        // Also before any of them has been given something.
        assert_eq!([1, 2, 3].map(watch), [true, true, false]);
        assert!(watch(1), "who is in goes on");
        assert!(sessions.may_watch(3, "bert", 2), "others have their own");
        for _ in 0..11 {
            assert!(watch(1));
            sessions.tick(|_, _| ());
        }
        assert!(watch(3), "the second has stopped");
        assert!(!watch(2));
        (0..12).for_each(|_| sessions.tick(|_, _| ()));
        assert!(sessions.limited.lock().unwrap().is_empty());
    }
}
