//! Who may watch: decided before the cache is asked, from the last snapshot alone, and no part of any name in the cache.

pub mod fleet;
pub mod limits;
pub mod rules;
pub mod token;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use http::HeaderMap;
use moka::sync::Cache;
use nearcast_api::playback::Country;
use nearcast_api::snapshot::Snapshot;
use nearcast_geo::Database;
use nearcast_service::drain::Drain;
use nearcast_service::http::Peer;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use self::limits::{Limiter, Place, Places, subscriber};
use self::rules::Rules;
use self::token::Verified;
use crate::error::{Error, Result};

/// `[access]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Channels that the control plane has not told of need a token as well.
    pub token_for_unknown: bool,
    /// A database in MaxMind DB format that says in which country an address is; empty for none, when nobody's country
    /// is known.
    pub countries: PathBuf,
    /// Requests a second from one address (IPv6: from one /64), with bursts of three seconds' worth; 0 for any number.
    pub address_requests: u32,
    /// Playlist requests of one rendition that one address (IPv6: one /64) may have waiting; 0 for any number.
    pub address_waiting: u32,
    /// Requests a second with one token, in the same way.
    pub token_requests: u32,
    /// Share of all cores, 0 to 1, above which nobody who is not watching already is let in (503, Retry-After); 1 for
    /// letting everybody in.
    pub full_at: f32,
    /// Origins of pages that may send the cookie `nearcast_token`, such as `https://www.example.net`.
    pub cookie_origins: Vec<String>,
}

/// The decision, for all requests.
#[derive(Debug)]
pub struct Access {
    token_for_unknown: bool,
    /// There is a control plane to hear from.
    is_told: bool,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    rules: ArcSwap<Rules>,
    /// A signature is checked once for many requests.
    verified: Cache<Arc<str>, Arc<Verified>>,
    countries: Option<Database>,
    addresses: Limiter,
    tokens: Limiter,
    waiting: Places,
}

/// What was found out of a viewer who may watch.
#[derive(Debug, Default)]
pub struct Admitted {
    /// What they brought; none where the channel needs none.
    pub token: Option<Arc<Verified>>,
    /// Only for whoever asked: no cache on the way may give the answer to others.
    pub private: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            token_for_unknown: false,
            countries: PathBuf::new(),
            address_requests: 0,
            address_waiting: 4096,
            token_requests: 0,
            full_at: 0.95,
            cookie_origins: Vec::new(),
        }
    }
}

impl Config {
    /// Says what cannot work, if anything.
    pub fn check(&self) -> Result<(), String> {
        self.database().map(drop).map_err(|why| format!("`access.countries`: {why}"))?;
        if !(0.1..=1.0).contains(&self.full_at) {
            return Err("`access.full_at` is a share of all cores: use 0.1 to 1".into());
        }
        match self.cookie_origins.iter().find(|origin| !is_origin(origin)) {
            Some(wrong) => Err(format!(
                "`access.cookie_origins` has {wrong:?}: write scheme and host of a page, such as https://www.example.net"
            )),
            None => Ok(()),
        }
    }

    fn database(&self) -> Result<Option<Database>, String> {
        if self.countries.as_os_str().is_empty() {
            return Ok(None);
        }
        let bytes = std::fs::read(&self.countries);
        let bytes = bytes.map_err(|error| format!("cannot read {}: {error}", self.countries.display()))?;
        Database::parse(bytes).map(Some).map_err(|error| error.to_string())
    }
}

impl Access {
    /// `is_told` says that a control plane sends snapshots: before the first nobody is let in.
    ///
    /// # Errors
    /// The database of countries cannot be read.
    pub fn new(config: &Config, snapshots: watch::Receiver<Arc<Snapshot>>, is_told: bool) -> Result<Self> {
        let countries = config.database().map_err(|why| Error::Countries { why: why.into() })?;
        let rules = Rules::new(Arc::clone(&snapshots.borrow()), None);
        // A token's claims are hardly more than its text.
        let weigh =
            |token: &Arc<str>, _: &Arc<Verified>| u32::try_from(2 * token.len() + 512).unwrap_or(u32::MAX);
        Ok(Self {
            token_for_unknown: config.token_for_unknown,
            is_told,
            rules: ArcSwap::from_pointee(rules),
            snapshots,
            verified: Cache::builder().max_capacity(VERIFIED_BYTES).weigher(weigh).build(),
            countries,
            addresses: Limiter::new(config.address_requests),
            tokens: Limiter::new(config.token_requests),
            waiting: Places::new(config.address_waiting),
        })
    }

    /// Keeps to the newest snapshot, until the drain.
    pub async fn follow(self: Arc<Self>, drain: Drain) {
        let mut snapshots = self.snapshots.clone();
        // What has come since they were first read counts as well.
        snapshots.mark_changed();
        while let Some(Ok(())) = drain.unless_draining(snapshots.changed()).await {
            let snapshot = Arc::clone(&snapshots.borrow_and_update());
            let rules = Rules::new(snapshot, Some(&self.rules.load()));
            if rules.asks_country() && self.countries.is_none() && !self.rules.load().asks_country() {
                tracing::warn!(
                    "a channel is for some countries only, and `access.countries` names no database: viewers \
                     everywhere count as in no country"
                );
            }
            self.rules.store(Arc::new(rules));
        }
    }

    /// Whether a viewer may have something of `channel` (`None`: of none). `in_path` is the token that the path began with.
    ///
    /// # Errors
    /// Says what is missing or wrong; see [`Error`].
    pub fn admit(
        &self,
        channel: Option<&str>,
        in_path: Option<&str>,
        headers: &HeaderMap,
        peer: Peer,
    ) -> Result<Admitted> {
        let address = peer.address.ip();
        if !self.addresses.allow(&subscriber(address)) {
            return Err(Error::TooManyRequests { whose: "this address" });
        }
        let rules = self.rules.load();
        if channel.is_some() && self.is_told && rules.version() == 0 {
            return Err(Error::NoSnapshot);
        }
        let Some(channel) = channel.filter(|_| self.token_for_unknown || rules.is_guarded()) else {
            return Ok(Admitted::default());
        };
        let now = unix_millis();
        rules.refuse_network(channel, address, now)?;
        let rule = rules.of(channel);
        if rules.is_gone(channel) {
            return Err(Error::NotFound);
        }
        let playback = rule.and_then(|channel| channel.settings.playback.as_ref());
        if let Some(playback) = playback.filter(|playback| playback.asks_country()) {
            let country = self.country(address);
            if !playback.lets(country) {
                return Err(Error::Country { country });
            }
        }
        let needs_token = match rule {
            Some(_) => playback.is_some_and(|playback| playback.needs_token()),
            None => self.token_for_unknown,
        };
        let found = token::find(in_path, headers);
        let token = match found {
            Some(token) => match self.verify(token, &rules) {
                Ok(verified) => Some(verified),
                Err(error) if needs_token => return Err(error),
                // It is not asked for, so a wrong one is as good as none.
                Err(_) => None,
            },
            None if needs_token => return Err(Error::NoToken),
            None => None,
        };
        if let (Some(token), Some(text)) = (&token, found) {
            if needs_token {
                token.check(channel, address, now / 1000, || self.country(address))?;
            }
            // Whoever was sent away stays away where no token is needed, too.
            rules.refuse_token(channel, address, token, now)?;
            if !self.tokens.allow(&text) {
                return Err(Error::TooManyRequests { whose: "this token" });
            }
        }
        Ok(Admitted { private: needs_token || playback.is_some_and(|rule| rule.asks_country()), token })
    }

    /// A place among those of one address that wait for the same list, `directory`'s.
    ///
    /// # Errors
    /// There is none left.
    pub fn wait(&self, directory: &str, peer: Peer) -> Result<Place<'_>> {
        let place = self.waiting.take(&(subscriber(peer.address.ip()), directory));
        place.ok_or(Error::TooManyRequests { whose: "this address" })
    }

    fn verify(&self, token: &str, rules: &Rules) -> Result<Arc<Verified>> {
        if let Some(verified) = self.verified.get(token).filter(|known| rules.has(&known.key)) {
            return Ok(verified);
        }
        let verified = Arc::new(token::verify(token, rules)?);
        self.verified.insert(token.into(), Arc::clone(&verified));
        Ok(verified)
    }

    /// In which country an address is, for those who count: [`Country::UNKNOWN`] where the database does not say, none where
    /// there is no database.
    pub fn counted_country(&self, address: IpAddr) -> Option<Country> {
        self.countries.as_ref().map(|_| self.country(address).unwrap_or(Country::UNKNOWN))
    }

    /// In which country an address is, as far as is known.
    pub fn country(&self, address: IpAddr) -> Option<Country> {
        self.countries.as_ref()?.country(address)?.parse().ok()
    }
}

/// `https://www.example.net`, with a port or without (RFC 6454 §6.2).
fn is_origin(text: &str) -> bool {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    host.is_some_and(|host| !host.is_empty() && !host.contains(['/', '?', '#', '@', '*', ' ']))
}

fn unix_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Some thirty thousand tokens.
const VERIFIED_BYTES: u64 = 32 << 20;

#[cfg(test)]
mod tests;
