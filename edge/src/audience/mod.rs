//! Who watches what, how much and how well: counted beside the cache, and told to the control plane.

pub mod cmcd;
pub mod cmsd;
pub mod counters;
pub mod overload;
pub mod sessions;

use std::cmp::Reverse;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use http::header::USER_AGENT;
use http::{HeaderMap, HeaderValue};
use nearcast_api::audience as told;
use nearcast_api::playback::Country;
use nearcast_service::http::Peer;

use self::cmcd::Report;
use self::counters::{Channel, Counters, Now, Player, Seat, busiest};
use self::sessions::{Id, Sessions};
use crate::access::Admitted;
use crate::error::{Error, Result};
use crate::metrics;

/// The audience of this edge.
#[derive(Debug)]
pub struct Audience {
    sessions: Sessions,
    channels: RwLock<HashMap<Arc<str>, Arc<Channel>>>,
    /// There are less than 26 by 26.
    countries: RwLock<HashMap<Country, Arc<Counters<Country>>>>,
    now: Mutex<HashMap<Arc<str>, Now>>,
    metrics: metrics::Audience,
}

/// A request of somebody who watches.
#[derive(Debug)]
pub struct Visit {
    id: Id,
    report: Option<Report>,
}

impl Visit {
    /// Whether the player understands client and server data.
    pub fn reports(&self) -> bool {
        self.report.is_some()
    }
}

impl Audience {
    pub fn new(metrics: metrics::Audience) -> Self {
        Self {
            sessions: Sessions::new(MAX_SESSIONS),
            channels: RwLock::default(),
            countries: RwLock::default(),
            now: Mutex::default(),
            metrics,
        }
    }

    /// Whose request this is. `full` keeps out whoever is not watching yet.
    ///
    /// # Errors
    /// [`Error::TooManySessions`] when the token is used by as many players as it may, [`Error::Overloaded`] when `full`.
    pub fn visit(
        &self,
        channel: &str,
        admitted: &Admitted,
        peer: Peer,
        query: Option<&str>,
        headers: &HeaderMap,
        full: bool,
    ) -> Result<Visit> {
        let report = cmcd::read(query, headers);
        let viewer = Viewer {
            channel,
            address: peer.address.ip(),
            agent: headers.get(USER_AGENT).map(HeaderValue::as_bytes),
            session: report.as_ref().and_then(|report| report.session.as_deref()),
        };
        let token = admitted.token.as_ref();
        let id = self.sessions.id((&viewer, token.map(|token| token.holder())));
        if full && !self.sessions.knows(id) {
            return Err(Error::Overloaded { what: "viewers" });
        }
        if let Some(token) = token
            && let Some(most) = token.claims.sessions
            // Whoever loads the page again or changes the channel goes on as the same player.
            && !self.sessions.may_watch((viewer.address, viewer.agent), token.holder(), most)
        {
            return Err(Error::TooManySessions);
        }
        Ok(Visit { id, report })
    }

    /// A visit was given something of `path`. Whoever sends it counts its bytes at the seat. Where somebody is, is asked for
    /// once in a session.
    pub fn served(
        &self,
        visit: &Visit,
        channel: &str,
        path: &str,
        country: impl FnOnce() -> Option<Country>,
    ) -> Option<Seat> {
        let seat = |country| Some(Seat { channel: self.channel(channel)?, country });
        let taken = self
            .sessions
            .saw(visit.id, Player::of(path), || seat(country().map(|country| self.country(country))));
        let seat = taken.or_else(|| {
            self.metrics.uncounted.inc();
            seat(None)
        })?;
        if let Some(report) = &visit.report {
            seat.heard(report);
            self.metrics.heard(report);
        }
        Some(seat)
    }

    /// A second has passed.
    pub fn tick(&self) {
        let mut now = HashMap::<Arc<str>, Now>::new();
        self.sessions.tick(|Seat { channel, country }, player| {
            let now = now.entry(Arc::clone(&channel.of)).or_default();
            now.add(player, country.as_ref().map(|country| country.of));
        });
        for (name, now) in &now {
            if let Some(channel) = self.channel(name) {
                channel.watched(now.viewers().into());
            }
        }
        for (country, viewers) in in_countries(&now) {
            self.country(country).watched(viewers.into());
        }
        self.metrics.observe(&now);
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }

    /// How many watch.
    pub fn viewers(&self) -> u32 {
        u32::try_from(self.sessions.count()).unwrap_or(u32::MAX)
    }

    /// The channels with the most viewers, for the control plane. What is counted since the start is told as long as this
    /// edge is asked for the channel at all.
    pub fn report(&self) -> Vec<told::Audience> {
        let now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        let mut busiest: Vec<(&Arc<str>, &Now)> = now.iter().collect();
        busiest.sort_by_key(|(_, now)| Reverse(now.viewers()));
        let report = |(name, now): (&Arc<str>, &Now)| self.channel(name)?.report(now);
        busiest.into_iter().take(MAX_REPORTED).filter_map(report).collect()
    }

    /// The countries with the most viewers, for the control plane.
    pub fn countries(&self) -> Vec<told::InCountry> {
        let now = in_countries(&self.now.lock().unwrap_or_else(PoisonError::into_inner));
        let report = |(country, viewers)| self.country(country).report(viewers);
        busiest(&now, MAX_COUNTRIES).into_iter().map(report).collect()
    }

    fn country(&self, country: Country) -> Arc<Counters<Country>> {
        if let Some(known) = self.countries.read().unwrap_or_else(PoisonError::into_inner).get(&country) {
            return Arc::clone(known);
        }
        let mut countries = self.countries.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(countries.entry(country).or_insert_with(|| Arc::new(Counters::new(country))))
    }

    fn channel(&self, name: &str) -> Option<Arc<Channel>> {
        if let Some(known) = self.channels.read().unwrap_or_else(PoisonError::into_inner).get(name) {
            return Some(Arc::clone(known));
        }
        let mut channels = self.channels.write().unwrap_or_else(PoisonError::into_inner);
        if channels.len() >= MAX_CHANNELS {
            // Channels come and go. The control plane sees one that begins at nothing again as it does after a restart.
            channels.retain(|_, channel| Arc::strong_count(channel) > 1);
        }
        if channels.len() >= MAX_CHANNELS {
            return None;
        }
        let name = Arc::<str>::from(name);
        let new = || Arc::new(Counters::new(Arc::clone(&name)));
        Some(Arc::clone(channels.entry(Arc::clone(&name)).or_insert_with(new)))
    }
}

/// How many watch in each country, whatever they watch.
fn in_countries(now: &HashMap<Arc<str>, Now>) -> HashMap<Country, u32> {
    let mut countries = HashMap::<Country, u32>::new();
    for (country, viewers) in now.values().flat_map(|now| &now.countries) {
        *countries.entry(*country).or_default() += viewers;
    }
    countries
}

/// What one player is told from others by.
#[derive(Hash)]
struct Viewer<'a> {
    channel: &'a str,
    address: std::net::IpAddr,
    agent: Option<&'a [u8]>,
    session: Option<&'a str>,
}

/// About 15 MB of them.
const MAX_SESSIONS: usize = 1 << 18;
const MAX_CHANNELS: usize = 10_000;
/// As many as fit into a heartbeat.
pub(crate) const MAX_REPORTED: usize = 500;
/// More than an edge has viewers in.
const MAX_COUNTRIES: usize = 100;

#[cfg(test)]
mod tests;
