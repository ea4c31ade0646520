//! How often the API may be called: by who shows a credential, and by addresses that show none.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::access::{Buckets, Line, Rate};

/// `[api.limits]`, of each instance for itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Wrong passwords from one address (IPv6: from one /64) in a minute; 0 for no limit.
    pub wrong_passwords: u32,
    /// What one API token or one user may call. The admin token of `data_dir` has no limit, so that it opens always.
    pub credential: Rate,
    /// What one address may call without a credential that counts.
    pub address: Rate,
    /// The same of what is open to viewers.
    pub viewers: Rate,
}

/// Who calls.
#[derive(Debug, Clone)]
pub enum Caller {
    /// By the name of its actor.
    Known(String),
    Stranger(IpAddr),
    Viewer(IpAddr),
}

/// Those who have called lately.
#[derive(Debug)]
pub struct Limits {
    known: Mutex<Buckets<String>>,
    strangers: Mutex<Buckets<Line>>,
    viewers: Mutex<Buckets<Line>>,
}

impl Default for Config {
    fn default() -> Self {
        let rate = |per_second, burst| Rate { per_second, burst };
        Self {
            wrong_passwords: 10,
            credential: rate(50.0, 200),
            address: rate(20.0, 100),
            // A whole company may watch from behind one address, and its pages ask when they begin.
            viewers: rate(200.0, 1000),
        }
    }
}

impl Config {
    /// None at all.
    pub fn none() -> Self {
        let none = Rate { per_second: 0.0, burst: 0 };
        Self { wrong_passwords: 0, credential: none, address: none, viewers: none }
    }

    /// One line on what cannot work.
    pub fn check(&self) -> Result<(), String> {
        self.credential.check("api.limits.credential")?;
        self.address.check("api.limits.address")?;
        self.viewers.check("api.limits.viewers")
    }

    /// `wrong_passwords` as a rate.
    pub fn failures(&self) -> Rate {
        Rate { per_second: f64::from(self.wrong_passwords) / 60.0, burst: self.wrong_passwords }
    }
}

impl Limits {
    pub fn new(config: &Config) -> Self {
        Self {
            known: Mutex::new(Buckets::new(config.credential, MOST)),
            strangers: Mutex::new(Buckets::new(config.address, MOST)),
            viewers: Mutex::new(Buckets::new(config.viewers, MOST)),
        }
    }

    /// Somebody calls.
    ///
    /// # Errors
    /// Too often: how long until they may again.
    pub fn take(&self, caller: &Caller, now: Instant) -> Result<(), Duration> {
        let lines = |buckets: &Mutex<Buckets<Line>>, address: IpAddr| {
            buckets.lock().unwrap_or_else(PoisonError::into_inner).take(&address.into(), now)
        };
        match caller {
            Caller::Known(name) => self.known.lock().unwrap_or_else(PoisonError::into_inner).take(name, now),
            Caller::Stranger(address) => lines(&self.strangers, *address),
            Caller::Viewer(address) => lines(&self.viewers, *address),
        }
    }
}

/// About 200 bytes each.
pub const MOST: usize = 20_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_has_a_bucket_of_their_own_and_viewers_a_larger_one() {
        let (limits, now) = (Limits::new(&Config::default()), Instant::now());
        let through = |caller: &Caller| (0..5000).filter(|_| limits.take(caller, now).is_ok()).count();
        let address: IpAddr = [198, 51, 100, 7].into();
        assert_eq!(through(&Caller::Known("user:anna".into())), 200);
        assert_eq!(through(&Caller::Known("user:bert".into())), 200);
        assert_eq!(through(&Caller::Stranger(address)), 100);
        assert_eq!(through(&Caller::Viewer(address)), 1000);
        assert!(limits.take(&Caller::Stranger(address), now + Duration::from_secs(1)).is_ok());
    }

    #[test]
    fn a_limit_that_cannot_be_is_named() {
        Config::none().check().unwrap();
        let config = |rate| Config { address: rate, ..Config::default() }.check().unwrap_err();
        assert!(config(Rate { per_second: f64::NAN, burst: 1 }).contains("api.limits.address.per_second"));
        assert!(config(Rate { per_second: 1.0, burst: 0 }).contains("api.limits.address.burst"));
    }
}
