//! Sessions: begun by who has proven who they are, looked up at every call, ended.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};

use nearcast_api::UserId;
use nearcast_api::snapshot::KeyHash;
use serde_json::json;

use super::users::told;
use super::{Plane, unix_millis};
use crate::access::{Actor, Grant, Scope};
use crate::error::{Error, Result, seconds};
use crate::keys;
use crate::store::{Change, OidcLogin, Store, StoredSession, StoredUser};

/// Users and their sessions, the latter by the hashes of their tokens.
#[derive(Debug)]
pub(super) struct People {
    users: HashMap<UserId, Arc<StoredUser>>,
    sessions: HashMap<KeyHash, Arc<StoredSession>>,
}

/// Somebody with a session.
#[derive(Debug, Clone)]
pub struct SignedIn {
    /// As they are now, not as they were when they signed in.
    pub user: Arc<StoredUser>,
    pub session: Arc<StoredSession>,
}

/// A session that has just begun.
#[derive(Debug)]
pub struct Began {
    /// Shown this once.
    pub token: String,
    pub session: StoredSession,
    pub user: StoredUser,
}

/// Who somebody is, as the identity provider says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub subject: String,
    /// What they are to be called here, where they are new.
    pub id: Option<String>,
    /// For people.
    pub name: Option<String>,
    /// What they may do here, where the provider decides that.
    pub scopes: Option<Vec<Scope>>,
}

impl Plane {
    /// Who has this session's token.
    ///
    /// # Errors
    /// The session is over, or its user is disabled.
    pub fn signed_in(&self, presented: &str) -> Option<Result<SignedIn, SignedIn>> {
        let people = self.people.read().unwrap_or_else(PoisonError::into_inner);
        let session = Arc::clone(people.sessions.get(&keys::hash(presented))?);
        let user = Arc::clone(people.users.get(&session.user)?);
        let counts = unix_millis() < session.expires_at && !user.disabled;
        let signed_in = SignedIn { user, session };
        Some(if counts { Ok(signed_in) } else { Err(signed_in) })
    }

    /// Begins a session of who knows the password with the PHC string `proven`. It lasts `life` milliseconds.
    ///
    /// # Errors
    /// [`Error::UserDisabled`]; [`Error::WrongPassword`] when it has changed meanwhile.
    pub async fn sign_in(&self, by: &Actor, id: &UserId, life: u64, proven: &str) -> Result<Began> {
        let _changing = self.changing.lock().await;
        let (token, session) = session(id, by, life);
        let mut change = self.store.change(by, "signIn", target(&session.id), session.created_at).await?;
        let user = change.user(id).await?;
        if change.password(id).await?.as_deref() != Some(proven) {
            return Err(Error::WrongPassword);
        }
        self.begin(change, token, session, user).await
    }

    /// As [`Plane::sign_in`] for who the identity provider says it is, who is added if `new` people are.
    ///
    /// # Errors
    /// [`Error::NotOfOurs`], [`Error::NameTaken`], [`Error::UserDisabled`].
    pub async fn sign_in_by_provider(
        &self,
        by: &Actor,
        who: Identity,
        new: bool,
        life: u64,
    ) -> Result<Began> {
        let _changing = self.changing.lock().await;
        let known =
            self.store.users().await?.into_iter().find(|user| user.subject.as_ref() == Some(&who.subject));
        let id = match (&known, new) {
            (Some(user), _) => user.id.clone(),
            (None, false) => return Err(Error::NotOfOurs { subject: who.subject }),
            (None, true) => {
                self.room_for_a_user().await?;
                let id = who.id.as_deref().unwrap_or_default().to_ascii_lowercase();
                id.parse().map_err(|_| Error::NameTaken { name: id, subject: who.subject.clone() })?
            }
        };
        let by = Actor { name: format!("user:{id}"), address: by.address };
        let (token, session) = session(&id, &by, life);
        let mut change =
            self.store.change(&by, "finishOidcLogin", target(&session.id), session.created_at).await?;
        let mut user = match known {
            Some(_) => change.user(&id).await?,
            None => {
                let user = StoredUser {
                    name: who.name.unwrap_or_else(|| id.to_string()),
                    grant: Grant { scopes: who.scopes.clone().unwrap_or_default(), channels: Vec::new() },
                    subject: Some(who.subject.clone()),
                    disabled: false,
                    has_password: false,
                    created_at: change.at(),
                    last_login_at: None,
                    id: id.clone(),
                };
                let made = change.create_user(&user, None).await;
                made.map_err(|error| match error {
                    // Whoever chose that name at the provider must not become somebody here.
                    Error::UserExists(id) => Error::NameTaken { name: id.to_string(), subject: who.subject },
                    other => other,
                })?;
                user
            }
        };
        if let Some(scopes) = who.scopes {
            user.grant.scopes = scopes;
        }
        self.begin(change, token, session, user).await
    }

    async fn begin(
        &self,
        mut change: Change,
        token: String,
        session: StoredSession,
        mut user: StoredUser,
    ) -> Result<Began> {
        if user.disabled {
            return Err(Error::UserDisabled(user.id));
        }
        user.last_login_at = Some(session.created_at);
        change.put_user(&user).await?;
        change.add_session(&session, MAX_SESSIONS).await?;
        change.after(&json!({ "user": told(&user), "expires_at": session.expires_at }));
        change.commit().await?;
        self.in_force(self.reload_people()).await?;
        Ok(Began { token, session, user })
    }

    /// Sessions that are not over, by id.
    pub async fn sessions(&self) -> Result<Vec<StoredSession>> {
        let mut sessions = self.store.sessions().await?;
        sessions.retain(|session| unix_millis() < session.expires_at);
        Ok(sessions)
    }

    /// Ends a session: the next call with it is refused.
    pub async fn end_session(&self, by: &Actor, action: &str, id: &str) -> Result<()> {
        let _changing = self.changing.lock().await;
        let old = self.store.sessions().await?.into_iter().find(|session| session.id == id);
        let mut change = self.store.change(by, action, target(id), unix_millis()).await?;
        change.delete_session(id).await?;
        change.before(&old.map(|old| json!({ "user": old.user, "expires_at": old.expires_at })));
        change.commit().await?;
        self.in_force(self.reload_people()).await
    }

    /// A password is tried, which counts as wrong until [`Plane::forgive`].
    ///
    /// # Errors
    /// [`Error::SignInWaits`].
    pub async fn attempt(&self, user: &UserId) -> Result<()> {
        match self.store.attempt(user, unix_millis(), MAX_ATTEMPTED).await? {
            None => Ok(()),
            Some(wait) => {
                Err(Error::SignInWaits { seconds: seconds(std::time::Duration::from_millis(wait)) })
            }
        }
    }

    /// The password was right.
    pub async fn forgive(&self, user: &UserId) -> Result<()> {
        self.store.forgive(user).await
    }

    /// Somebody goes to the identity provider with `state`.
    pub async fn go_to_provider(&self, state: &str, nonce: String, verifier: String) -> Result<()> {
        let now = unix_millis();
        let login = OidcLogin { nonce, verifier, expires_at: now + AT_PROVIDER };
        self.store.add_oidc_login(state, &login, now, MAX_AT_PROVIDER).await
    }

    /// Somebody is back from there, for the only time.
    ///
    /// # Errors
    /// [`Error::OidcState`].
    pub async fn back_from_provider(&self, state: &str) -> Result<OidcLogin> {
        self.store.take_oidc_login(state, unix_millis()).await?.ok_or(Error::OidcState)
    }

    pub(super) async fn reload_people(&self) -> Result<()> {
        let people = people(&self.store).await?;
        *self.people.write().unwrap_or_else(PoisonError::into_inner) = people;
        Ok(())
    }
}

pub(super) async fn people(store: &Store) -> Result<People> {
    // Sessions first: whoever is deleted in between has none then that could be found.
    let (sessions, users) = (store.sessions().await?, store.users().await?);
    Ok(People {
        users: users.into_iter().map(|user| (user.id.clone(), Arc::new(user))).collect(),
        sessions: sessions.into_iter().map(|session| (session.hash.clone(), Arc::new(session))).collect(),
    })
}

/// A token and its session.
fn session(user: &UserId, by: &Actor, life: u64) -> (String, StoredSession) {
    let (token, now) = (format!("{PREFIX}{}", keys::random()), unix_millis());
    let session = StoredSession {
        id: keys::random_id(),
        hash: keys::hash(&token),
        user: user.clone(),
        address: by.address.map(|address| address.to_string()),
        created_at: now,
        expires_at: now.saturating_add(life),
    };
    (token, session)
}

fn target(id: &str) -> String {
    format!("sessions/{id}")
}

/// So that people and scanners of leaked secrets see what it is.
const PREFIX: &str = "ncs_";
/// Of one user; with another one the oldest ends.
const MAX_SESSIONS: u32 = 20;
/// Names whose wrong passwords are remembered. From one address come ten a minute.
const MAX_ATTEMPTED: u32 = 10_000;
/// Milliseconds that somebody may take at the identity provider.
const AT_PROVIDER: u64 = 10 * 60 * 1000;
/// Browsers that are there.
const MAX_AT_PROVIDER: u32 = 10_000;
