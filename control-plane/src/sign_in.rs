//! Signing in with a password: how often it may be tried, by whom, and what comes of it.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use nearcast_api::UserId;

use crate::access::{Actor, Buckets, Line};
use crate::error::{Error, Result};
use crate::limits;
use crate::passwords::{self, Passwords};
use crate::plane::{Began, Plane};

/// What this instance knows of those who try.
#[derive(Debug)]
pub struct SignIns {
    passwords: Passwords,
    /// Each address's wrong passwords.
    lines: Mutex<Buckets<Line>>,
    /// How long a session lasts, in milliseconds.
    life: u64,
}

impl SignIns {
    /// `hours` a session lasts.
    pub fn new(limits: &limits::Config, hours: u32) -> Self {
        Self {
            passwords: Passwords::default(),
            lines: Mutex::new(Buckets::new(limits.failures(), limits::MOST)),
            life: u64::from(hours) * 3600 * 1000,
        }
    }

    /// How long a session lasts, in milliseconds.
    pub fn life(&self) -> u64 {
        self.life
    }

    /// Begins a session for who knows the password. What is refused is in the audit log.
    ///
    /// # Errors
    /// [`Error::WrongPassword`] whether there is such a user or not, [`Error::SignInWaits`], [`Error::UserDisabled`] only to
    /// who knows the password, [`Error::Busy`].
    pub async fn with_password(
        &self,
        plane: &Plane,
        name: &str,
        password: String,
        address: Option<IpAddr>,
    ) -> Result<Began> {
        // What is no name is nobody's, and anybody can see that; the time it takes tells nothing new.
        let Ok(user) = name.parse::<UserId>() else {
            self.spend(address)?;
            return Err(Error::WrongPassword);
        };
        let by = Actor { name: format!("user:{user}"), address };
        let signed_in = async {
            let proof = self.prove(plane, &user, password, address).await?;
            plane.sign_in(&by, &user, self.life, &proof).await
        };
        let signed_in = signed_in.await;
        if let Err(why) = &signed_in {
            plane.not_signed_in(&by, why).await;
        }
        signed_in
    }

    /// Whether it is this user's password; counted as wrong until it is known to be right. Gives what is kept of it.
    ///
    /// # Errors
    /// As [`SignIns::with_password`].
    pub async fn prove(
        &self,
        plane: &Plane,
        user: &UserId,
        password: String,
        address: Option<IpAddr>,
    ) -> Result<String> {
        self.spend(address)?;
        // Nobody's turn is over before it is known whether the password was right: programs that sign in at the same moment
        // with the right one are no attack.
        let turn = self.passwords.turn().await?;
        plane.attempt(user).await?;
        let kept = plane.password(user).await?;
        let fits = password.chars().count() <= passwords::LONGEST;
        let (right, _turn) = turn.verify(kept.clone(), password).await?;
        let Some(kept) = kept.filter(|_| right && fits) else { return Err(Error::WrongPassword) };
        plane.forgive(user).await?;
        if let Some(address) = address {
            self.lines.lock().unwrap_or_else(PoisonError::into_inner).give_back(&address.into());
        }
        Ok(kept)
    }

    /// The PHC string of a new password for this user.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it is easily guessed, [`Error::Busy`].
    pub async fn hash(&self, user: &UserId, password: String) -> Result<String> {
        passwords::check(&password, user)?;
        self.passwords.turn().await?.hash(password).await
    }

    /// One of the wrong passwords that an address may send.
    fn spend(&self, address: Option<IpAddr>) -> Result<()> {
        let Some(address) = address else { return Ok(()) };
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines
            .take(&address.into(), Instant::now())
            .map_err(|wait| Error::SignInWaits { seconds: crate::error::seconds(wait) })
    }
}
