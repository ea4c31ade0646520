//! Which refusals are worth a line in the audit log: somebody's first in a minute, and not more than some of all.

use std::collections::HashSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::Actor;

/// Those of the minute that began last. No clock: `now` is an argument.
#[derive(Debug, Default)]
pub struct Refusals {
    began: Option<Instant>,
    logged: HashSet<(String, Option<IpAddr>)>,
}

impl Refusals {
    /// Whether this one is to be logged.
    pub fn is_news(&mut self, who: &Actor, now: Instant) -> bool {
        if self.began.is_none_or(|began| now.saturating_duration_since(began) >= MINUTE) {
            self.began = Some(now);
            self.logged.clear();
        }
        self.logged.len() < MOST && self.logged.insert((who.name.clone(), who.address))
    }
}

const MINUTE: Duration = Duration::from_secs(60);
/// A program that goes on asking must not fill the log.
const MOST: usize = 60;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn somebodys_first_in_a_minute_is_logged_and_not_too_many_of_all() {
        let (mut refusals, now) = (Refusals::default(), Instant::now());
        let who = |number: usize| Actor { name: format!("token:{number}"), address: None };
        assert!(refusals.is_news(&who(0), now));
        assert!(!refusals.is_news(&who(0), now + MINUTE / 2));
        let elsewhere = Actor { address: Some([127, 0, 0, 1].into()), ..who(0) };
        assert!(refusals.is_news(&elsewhere, now));
        let logged = (1..1000).filter(|number| refusals.is_news(&who(*number), now)).count();
        assert_eq!(logged, MOST - 2);
        assert!(refusals.is_news(&who(0), now + MINUTE));
    }
}
