//! How long an account waits after wrong passwords. Pure: `now` is an argument, in milliseconds since the Unix epoch.

/// What is remembered of an account's wrong passwords.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lockout {
    /// Wrong ones since `began_at`.
    pub failures: u64,
    pub began_at: u64,
    /// How often it has waited.
    pub locks: u64,
    /// Until when it waits.
    pub until_at: u64,
    /// When the last one was tried.
    pub last_at: u64,
}

impl Lockout {
    /// A password is tried, which counts as wrong until it is known to be right: a hundred that are tried at once are a hundred.
    ///
    /// # Errors
    /// It may not be tried for so many milliseconds.
    pub fn attempt(self, now: u64) -> Result<Self, u64> {
        let known = if now.saturating_sub(self.last_at) >= FORGOTTEN { Self::default() } else { self };
        if known.until_at > now {
            return Err(known.until_at - now);
        }
        let over = now.saturating_sub(known.began_at) >= WINDOW;
        let (failures, began_at) = if over { (1, now) } else { (known.failures + 1, known.began_at) };
        let next = Self { failures, began_at, last_at: now, ..known };
        // Who has waited once has no more free tries.
        if failures < FREE && known.locks == 0 {
            return Ok(next);
        }
        let wait = SHORTEST.saturating_mul(1 << known.locks.min(16)).min(LONGEST);
        Ok(Self { locks: known.locks + 1, until_at: now.saturating_add(wait), ..next })
    }
}

/// So many wrong ones within [`WINDOW`] before an account waits.
const FREE: u64 = 5;
const WINDOW: u64 = 15 * 60 * 1000;
/// The first wait, which doubles with each further wrong password.
const SHORTEST: u64 = 60 * 1000;
const LONGEST: u64 = 60 * 60 * 1000;
/// After so long without a try nothing is remembered: who guesses on and on has 24 tries a day.
pub const FORGOTTEN: u64 = 24 * 60 * 60 * 1000;

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60_000;

    #[test]
    fn five_wrong_passwords_make_an_account_wait_and_each_further_one_twice_as_long() {
        let (mut lockout, mut now) = (Lockout::default(), 1_000_000_000_000);
        for _ in 0..5 {
            lockout = lockout.attempt(now).unwrap();
            now += 1000;
        }
        let mut waits = Vec::new();
        for _ in 0..8 {
            let wait = lockout.attempt(now).unwrap_err();
            waits.push(wait.div_ceil(MINUTE));
            assert!(lockout.attempt(now + wait - 1).is_err());
            now += wait;
            lockout = lockout.attempt(now).unwrap();
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
        now += FORGOTTEN;
        assert_eq!(lockout.attempt(now).unwrap(), Lockout::default().attempt(now).unwrap());
    }

    #[test]
    fn a_wrong_password_now_and_then_is_no_attack() {
        let (mut lockout, mut now) = (Lockout::default(), 1_000_000_000_000);
        for _ in 0..100 {
            lockout = lockout.attempt(now).unwrap();
            now += WINDOW / 3;
        }
        assert_eq!(lockout.locks, 0);
    }

    #[test]
    fn a_clock_that_goes_back_locks_nobody_in_or_out() {
        let lockout = Lockout::default().attempt(1_000_000).unwrap();
        assert_eq!(lockout.attempt(5).unwrap().failures, 2);
    }
}
