//! Who fetches an object and who waits for it: the single-flight table, without IO.
//!
//! A flight begins with the first [`Table::join`] of a key and ends with [`Table::land`]. Its fetcher may tell
//! the waiters early ([`Table::open`]) when the object can be read while it fills. A fetcher that gives up
//! without a verdict ([`Table::abandon`]) hands its permit to exactly one waiter; the others sleep on.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Every key that is being fetched. `V` is what an open flight can be read by, `W` how a waiter is told.
#[derive(Debug)]
pub struct Table<V, W> {
    flights: HashMap<Arc<str>, Flight<V, W>>,
    next: u64,
}

/// What to do about a key.
#[derive(Debug, PartialEq, Eq)]
pub enum Join<V> {
    /// It is being fetched and can be read meanwhile.
    Open(V),
    /// Somebody fetches it; the waiter will be told.
    Wait(Ticket),
    /// Nobody fetches it: start a fetch with this permit, and wait like the others.
    Fetch(Ticket, Permit),
}

/// The right, and the duty, to fetch a key. Must come back by `land` or `abandon`.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a permit that does not come back blocks its key for ever"]
pub struct Permit {
    key: Arc<str>,
    id: u64,
}

/// A place among the waiters of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    key: Arc<str>,
    id: u64,
}

#[derive(Debug)]
struct Flight<V, W> {
    permit: u64,
    open: Option<V>,
    /// By arrival, so that the longest waiting is elected first.
    waiters: BTreeMap<u64, W>,
}

impl<V: Clone, W> Table<V, W> {
    /// Reads, waits for or starts the flight of `key`.
    pub fn join(&mut self, key: &str, waiter: W) -> Join<V> {
        let id = self.id();
        if let Some((key, flight)) = self.flights.get_key_value(key) {
            if let Some(value) = &flight.open {
                return Join::Open(value.clone());
            }
            let ticket = Ticket { key: Arc::clone(key), id };
            if let Some(flight) = self.flights.get_mut(&*ticket.key) {
                flight.waiters.insert(id, waiter);
            }
            return Join::Wait(ticket);
        }
        let permit = self.start(key, BTreeMap::from([(id, waiter)]));
        Join::Fetch(Ticket { key: Arc::clone(&permit.key), id }, permit)
    }

    /// Starts a flight that nobody waits for yet, unless there is one.
    pub fn prefetch(&mut self, key: &str) -> Option<Permit> {
        if self.flights.contains_key(key) {
            return None;
        }
        Some(self.start(key, BTreeMap::new()))
    }

    /// The object can be read from now on: returns everybody to tell.
    pub fn open(&mut self, permit: &Permit, value: V) -> Vec<W> {
        match self.flights.get_mut(&*permit.key).filter(|flight| flight.permit == permit.id) {
            Some(flight) => {
                flight.open = Some(value);
                std::mem::take(&mut flight.waiters).into_values().collect()
            }
            None => Vec::new(),
        }
    }

    /// The fetch ended, well or badly: forgets the flight and returns everybody to tell.
    pub fn land(&mut self, permit: Permit) -> Vec<W> {
        if self.flights.get(&*permit.key).is_some_and(|flight| flight.permit == permit.id)
            && let Some(flight) = self.flights.remove(&*permit.key)
        {
            return flight.waiters.into_values().collect();
        }
        Vec::new()
    }

    /// The fetch stopped without a verdict: returns the one waiter to wake and its permit, or forgets the flight
    /// when nobody waits.
    pub fn abandon(&mut self, permit: Permit) -> Option<(W, Permit)> {
        let id = self.id();
        let flight = self.flights.get_mut(&*permit.key).filter(|flight| flight.permit == permit.id)?;
        match flight.waiters.pop_first() {
            Some((_, waiter)) => {
                flight.permit = id;
                Some((waiter, Permit { key: permit.key, id }))
            }
            None => {
                self.flights.remove(&*permit.key);
                None
            }
        }
    }

    /// A waiter went away.
    pub fn leave(&mut self, ticket: &Ticket) {
        if let Some(flight) = self.flights.get_mut(&*ticket.key) {
            flight.waiters.remove(&ticket.id);
        }
    }

    /// True while `key` is being fetched.
    pub fn contains(&self, key: &str) -> bool {
        self.flights.contains_key(key)
    }

    /// True while somebody waits for `key` or may be reading it.
    pub fn is_wanted(&self, key: &str) -> bool {
        self.flights.get(key).is_some_and(|flight| flight.open.is_some() || !flight.waiters.is_empty())
    }

    /// Keys being fetched.
    pub fn len(&self) -> usize {
        self.flights.len()
    }

    /// True while nothing is fetched.
    pub fn is_empty(&self) -> bool {
        self.flights.is_empty()
    }

    fn start(&mut self, key: &str, waiters: BTreeMap<u64, W>) -> Permit {
        let permit = Permit { key: key.into(), id: self.id() };
        let flight = Flight { permit: permit.id, open: None, waiters };
        self.flights.insert(Arc::clone(&permit.key), flight);
        permit
    }

    fn id(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

impl<V, W> Default for Table<V, W> {
    fn default() -> Self {
        Self { flights: HashMap::new(), next: 0 }
    }
}

impl Permit {
    /// What may be fetched.
    pub fn key(&self) -> &Arc<str> {
        &self.key
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Flights = Table<&'static str, u32>;

    fn fetch(table: &mut Flights, waiter: u32) -> (Ticket, Permit) {
        match table.join("k", waiter) {
            Join::Fetch(ticket, permit) => (ticket, permit),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_first_fetches_and_the_others_wait_until_it_lands() {
        let mut table = Flights::default();
        let (_, permit) = fetch(&mut table, 1);
        assert!(matches!(table.join("k", 2), Join::Wait(_)));
        assert!(matches!(table.join("k", 3), Join::Wait(_)));
        assert_eq!(table.prefetch("k"), None);
        assert_eq!(table.land(permit), [1, 2, 3]);
        assert!(table.is_empty());
        assert!(matches!(table.join("k", 4), Join::Fetch(..)));
    }

    #[test]
    fn an_open_flight_is_read_by_those_who_wait_and_those_who_come_later() {
        let mut table = Flights::default();
        let (_, permit) = fetch(&mut table, 1);
        assert!(matches!(table.join("k", 2), Join::Wait(_)));
        assert_eq!(table.open(&permit, "body"), [1, 2]);
        assert_eq!(table.join("k", 3), Join::Open("body"));
        assert_eq!(table.land(permit), [] as [u32; 0]);
    }

    #[test]
    fn an_abandoned_flight_wakes_exactly_the_longest_waiting() {
        let mut table = Flights::default();
        let (first, permit) = fetch(&mut table, 1);
        assert!(matches!(table.join("k", 2), Join::Wait(_)));
        assert!(matches!(table.join("k", 3), Join::Wait(_)));
        table.leave(&first);
        assert!(table.is_wanted("k"));
        let (elected, permit) = table.abandon(permit).unwrap();
        assert_eq!(elected, 2);
        assert!(matches!(table.join("k", 4), Join::Wait(_)), "the flight goes on under its new permit");
        assert_eq!(table.land(permit), [3, 4]);
    }

    #[test]
    fn an_abandoned_flight_without_waiters_is_forgotten() {
        let mut table = Flights::default();
        let permit = table.prefetch("k").unwrap();
        assert!(!table.is_wanted("k"));
        assert_eq!(table.abandon(permit), None);
        assert!(table.is_empty());
    }

    proptest! {
        /// Whatever the order of events: one permit per key, nobody told twice, nobody who stays forgotten.
        #[test]
        fn every_waiter_is_told_once(events in prop::collection::vec((0u8..6, 0usize..8), 1..200)) {
            let mut table = Table::<(), u32>::default();
            let (mut permit, mut waiting, mut next) = (None::<Permit>, Vec::<(u32, Ticket)>::new(), 0u32);
            let mut told = Vec::new();
            for (event, index) in events {
                match event {
                    0 | 1 => {
                        next += 1;
                        match table.join("k", next) {
                            Join::Wait(ticket) => { prop_assert!(permit.is_some()); waiting.push((next, ticket)); }
                            Join::Fetch(ticket, new) => {
                                prop_assert!(permit.is_none());
                                permit = Some(new);
                                waiting.push((next, ticket));
                            }
                            Join::Open(()) => told.push(next),
                        }
                    }
                    2 => if let Some(permit) = permit.take() {
                        told.extend(table.land(permit));
                        waiting.clear();
                    },
                    3 => if let Some(old) = permit.take() {
                        if let Some((waiter, new)) = table.abandon(old) {
                            told.push(waiter);
                            waiting.retain(|(id, _)| *id != waiter);
                            permit = Some(new);
                        } else {
                            prop_assert!(waiting.is_empty());
                        }
                    },
                    4 => if !waiting.is_empty() {
                        let (_, ticket) = waiting.remove(index % waiting.len());
                        table.leave(&ticket);
                    },
                    _ => if let Some(permit) = &permit {
                        told.extend(table.open(permit, ()));
                        waiting.clear();
                    },
                }
                prop_assert_eq!(table.len(), usize::from(permit.is_some()));
            }
            if let Some(permit) = permit {
                let rest = table.land(permit);
                prop_assert_eq!(rest.len(), waiting.len());
                told.extend(rest);
            }
            let count = told.len();
            told.sort_unstable();
            told.dedup();
            prop_assert_eq!(told.len(), count);
        }
    }
}
