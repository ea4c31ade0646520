//! Passwords: which are good enough, and their hashes, made a few at a time so that sign-ins cannot eat the machine.

use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, PasswordHasher, PasswordVerifier};
use nearcast_api::UserId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

use crate::error::{Error, Result};

/// Hashes and compares passwords with argon2id (RFC 9106), on threads of its own.
#[derive(Debug)]
pub struct Passwords {
    hashing: Arc<Semaphore>,
    /// Who hashes or waits for it.
    places: Semaphore,
}

impl Default for Passwords {
    fn default() -> Self {
        Self { hashing: Arc::new(Semaphore::new(AT_ONCE)), places: Semaphore::new(PLACES) }
    }
}

/// A turn to hash or compare. Whoever has one keeps others waiting until it is dropped.
#[derive(Debug)]
pub struct Turn<'a> {
    permit: OwnedSemaphorePermit,
    _place: SemaphorePermit<'a>,
}

impl Passwords {
    /// Waits for one's turn.
    ///
    /// # Errors
    /// [`Error::Busy`] when too many wait.
    pub async fn turn(&self) -> Result<Turn<'_>> {
        let place = self.places.try_acquire().map_err(|_| Error::Busy)?;
        let permit = self.hashing.clone().acquire_owned().await.map_err(|_| Error::Busy)?;
        Ok(Turn { permit, _place: place })
    }
}

impl Turn<'_> {
    /// The PHC string of a new password.
    pub async fn hash(self, password: String) -> Result<String> {
        let salt: [u8; 16] = rand::random();
        let hash = move || {
            let hash: Result<PasswordHash, _> =
                Argon2::default().hash_password_with_salt(password.as_bytes(), &salt);
            hash.map(|hash| hash.to_string())
        };
        let (hash, _turn) = self.work(hash).await?;
        hash.map_err(|_| Error::Unhashable)
    }

    /// Whether the password is the one with this PHC string; without one it takes as long, and is not. Gives the turn back, for
    /// who has to note the result before others have theirs.
    pub async fn verify(self, kept: Option<String>, password: String) -> Result<(bool, Self)> {
        let kept = kept.unwrap_or_else(|| NOBODYS.to_owned());
        let verify = move || {
            let hash = PasswordHash::new(&kept).ok();
            // What it was hashed with is in the string.
            hash.is_some_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
        };
        self.work(verify).await
    }

    async fn work<R: Send + 'static>(self, work: impl FnOnce() -> R + Send + 'static) -> Result<(R, Self)> {
        let Self { permit, _place } = self;
        // The permit goes with the work: it lasts as long also where nobody waits for it any more.
        let working = tokio::task::spawn_blocking(move || (work(), permit));
        let (done, permit) = working.await.map_err(|_| Error::Busy)?;
        Ok((done, Self { permit, _place }))
    }
}

/// Refuses a password that is easily guessed, as NIST SP 800-63B section 5.1.1.2 says: by length and lists, and not by which
/// characters are in it.
///
/// # Errors
/// [`Error::Invalid`] says what is wrong with it.
pub fn check(password: &str, user: &UserId) -> Result<()> {
    let invalid = |problem: &str| Err(Error::Invalid { field: "password", problem: problem.to_owned() });
    if !(SHORTEST..=LONGEST).contains(&password.chars().count()) {
        return invalid("use 12 to 256 characters; a few words that nobody puts together do well");
    }
    let lower = password.to_lowercase();
    let letters = lower.trim_matches(|c: char| !c.is_alphabetic());
    if lower == user.as_str() || letters == user.as_str() {
        return invalid("it is the user's name: use another");
    }
    // Digits and signs behind a well-known one are the first that are tried.
    if COMMON.iter().any(|common| *common == lower || *common == letters)
        || is_repetition(&lower)
        || is_row(&lower)
    {
        return invalid("it is among the first that are tried: use another");
    }
    Ok(())
}

/// Up to four characters again and again.
fn is_repetition(password: &str) -> bool {
    let chars: Vec<char> = password.chars().collect();
    (1..=4).any(|period| chars.iter().skip(period).zip(&chars).all(|(a, b)| a == b))
}

/// `abcdefghijkl`, `210987654321`.
fn is_row(password: &str) -> bool {
    let chars: Vec<u32> = password.chars().map(u32::from).collect();
    let follows = |by: u32| {
        let next = |pair: &[u32]| pair[0].wrapping_add(by) == pair[1] || is_turn(pair[0], pair[1], by);
        chars.windows(2).all(next)
    };
    follows(1) || follows(u32::MAX)
}

/// From 9 to 0 upwards, from 0 to 9 downwards.
fn is_turn(a: u32, b: u32, by: u32) -> bool {
    let (nine, zero) = (u32::from('9'), u32::from('0'));
    if by == 1 { (a, b) == (nine, zero) } else { (a, b) == (zero, nine) }
}

/// Each takes 19 MiB and one core for some tens of milliseconds.
const AT_ONCE: usize = 2;
/// More than this many who wait would wait for too long.
const PLACES: usize = 64;
/// Made with the parameters of [`Argon2::default`], which are those of OWASP's Password Storage Cheat Sheet. No password is known
/// to have this hash.
const NOBODYS: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

const SHORTEST: usize = 12;
pub const LONGEST: usize = 256;

/// What people think of first, where twelve characters are asked for; and shorter ones, for what they are made longer with.
const COMMON: [&str; 48] = [
    "password",
    "passwort",
    "motdepasse",
    "contrasena",
    "wachtwoord",
    "parola",
    "senha",
    "haslo",
    "passw0rd",
    "p@ssword",
    "p@ssw0rd",
    "mypassword",
    "thepassword",
    "passwordpassword",
    "password1password",
    "newpassword",
    "changeme",
    "changemenow",
    "letmein",
    "letmeinnow",
    "letmeinplease",
    "welcome",
    "welcomehome",
    "iloveyou",
    "iloveyouforever",
    "administrator",
    "administrador",
    "admin",
    "adminadmin",
    "superadmin",
    "rootroot",
    "defaultpassword",
    "temporarypassword",
    "qwertyuiop",
    "qwertyuiopasdf",
    "qwertyuiopasdfghjkl",
    "qwertyuiop[]",
    "asdfghjkl",
    "asdfghjklqwerty",
    "zxcvbnm",
    "qazwsxedcrfv",
    "1qaz2wsx3edc",
    "1q2w3e4r5t6y",
    "q1w2e3r4t5y6",
    "correcthorsebatterystaple",
    "nearcast",
    "nearcastnearcast",
    "livestreaming",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn says(password: &str) -> String {
        check(password, &"anna-livia-plurabelle".parse().unwrap())
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default()
    }

    #[test]
    fn a_password_is_judged_by_length_and_lists_only() {
        for good in
            ["three plain words", "            x", "tr0ub4dor&3-x", "ихниелозинка", &"long ".repeat(51)]
        {
            assert_eq!(says(good), "", "{good}");
        }
        for (bad, why) in [
            ("short one", "12 to 256"),
            ("eleven char", "12 to 256"),
            (&"x1".repeat(129), "12 to 256"),
            ("anna-livia-plurabelle", "user's name"),
            ("Anna-Livia-Plurabelle1!", "user's name"),
            ("Password1234", "first"),
            ("administrator", "first"),
            ("1q2w3e4r5t6y", "first"),
            ("aaaaaaaaaaaa", "first"),
            ("abcdabcdabcd", "first"),
            ("123456789012", "first"),
            ("210987654321", "first"),
            ("abcdefghijklm", "first"),
        ] {
            assert!(says(bad).contains(why), "{bad}: {}", says(bad));
        }
    }

    #[tokio::test]
    async fn a_password_is_known_again_and_its_hash_is_argon2id_as_owasp_wants_it() {
        let passwords = Passwords::default();
        let hash = async || passwords.turn().await.unwrap().hash("three plain words".into()).await.unwrap();
        let (hash, again) = (hash().await, hash().await);
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert_ne!(again, hash, "salted");
        for (kept, password, right) in [
            (Some(hash.clone()), "three plain words", true),
            (Some(hash), "three plain word", false),
            (Some("damaged".into()), "three plain words", false),
            (None, "three plain words", false),
        ] {
            let turn = passwords.turn().await.unwrap();
            assert_eq!(turn.verify(kept, password.into()).await.unwrap().0, right);
        }
        assert!(PasswordHash::new(NOBODYS).is_ok(), "or a name that nobody has would be answered sooner");
    }

    #[tokio::test]
    async fn more_than_can_wait_are_sent_away_and_no_more_than_two_hash_at_once() {
        let passwords = Passwords::default();
        let held = [passwords.turn().await.unwrap(), passwords.turn().await.unwrap()];
        let mut waiting: Vec<_> = (AT_ONCE..PLACES).map(|_| Box::pin(passwords.turn())).collect();
        for turn in &mut waiting {
            assert!(futures_util::poll!(turn.as_mut()).is_pending());
        }
        assert!(matches!(passwords.turn().await, Err(Error::Busy)));
        drop(held);
        for turn in waiting {
            turn.await.unwrap().work(|| ()).await.unwrap();
        }
        passwords.turn().await.unwrap();
    }
}
