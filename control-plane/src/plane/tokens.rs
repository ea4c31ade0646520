//! API tokens: made, looked up at every call, taken away.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use nearcast_api::snapshot::KeyHash;
use nearcast_service::log::Chain;
use serde_json::{Value, json};

use super::{Plane, unix_millis};
use crate::access::{Actor, Grant, Refusals};
use crate::error::{Error, Result};
use crate::keys;
use crate::store::{Entry, Page, Store, StoredToken, Which};

impl Plane {
    /// The token of the caller, if it is one of the API's, and whether it counts now.
    pub fn token(&self, presented: &str) -> Option<(Arc<StoredToken>, bool)> {
        let tokens = self.tokens.read().unwrap_or_else(PoisonError::into_inner);
        // By its hash: what the time of this look tells is of no use to who guesses tokens.
        let token = tokens.get(&keys::hash(presented))?;
        Some((Arc::clone(token), token.expires_at.is_none_or(|expires| unix_millis() < expires)))
    }

    /// Notes in the audit log that somebody known was refused `call`, at times.
    pub async fn refused(&self, by: &Actor, call: &str, why: &Error) {
        self.note_refusal(&self.refusals, by, call, why).await;
    }

    /// The same of somebody who could not sign in; `by` is who they said they are.
    pub async fn not_signed_in(&self, by: &Actor, why: &Error) {
        self.note_refusal(&self.not_signed_in, by, "POST sessions", why).await;
    }

    async fn note_refusal(&self, refusals: &Mutex<Refusals>, by: &Actor, call: &str, why: &Error) {
        let is_news = {
            let mut refusals = refusals.lock().unwrap_or_else(PoisonError::into_inner);
            refusals.is_news(by, Instant::now())
        };
        if !is_news {
            return;
        }
        let noted = async {
            let mut change = self.store.change(by, "refused", call, unix_millis()).await?;
            change.after(&json!({ "why": why.to_string() }));
            change.commit().await
        };
        if let Err(error) = noted.await {
            tracing::warn!(actor = by.name, call, "a refusal is not in the audit log: {}", Chain(&error));
        }
    }

    /// All API tokens, oldest first.
    pub async fn tokens(&self) -> Result<Vec<StoredToken>> {
        self.store.tokens().await
    }

    /// Makes a token; `expires_in` in seconds. Gives it, and what is kept of it.
    pub async fn add_token(
        &self,
        by: &Actor,
        grant: Grant,
        label: String,
        expires_in: Option<u64>,
    ) -> Result<(String, StoredToken)> {
        let _changing = self.changing.lock().await;
        if self.store.tokens().await?.len() >= MAX_TOKENS {
            return Err(Error::Full { what: "API tokens", max: MAX_TOKENS });
        }
        let (token, now) = (format!("{PREFIX}{}", keys::random()), unix_millis());
        let stored = StoredToken {
            id: keys::random_id(),
            hash: keys::hash(&token),
            grant,
            label,
            created_at: now,
            expires_at: expires_in.map(|seconds| now.saturating_add(seconds.saturating_mul(1000))),
        };
        let mut change = self.store.change(by, "createApiToken", target(&stored.id), now).await?;
        change.add_token(&stored).await?;
        change.after(&told(&stored));
        change.commit().await?;
        self.in_force(self.reload_tokens()).await?;
        Ok((token, stored))
    }

    /// Takes a token away: the next call with it is refused.
    pub async fn delete_token(&self, by: &Actor, id: &str) -> Result<()> {
        let _changing = self.changing.lock().await;
        let old = self.store.tokens().await?.into_iter().find(|token| token.id == id);
        let mut change = self.store.change(by, "deleteApiToken", target(id), unix_millis()).await?;
        change.delete_token(id).await?;
        change.before(&old.as_ref().map(told));
        change.commit().await?;
        self.in_force(self.reload_tokens()).await
    }

    /// Lines of the audit log.
    pub async fn audit(&self, which: &Which, page: Page, limit: u32) -> Result<Vec<Entry>> {
        self.store.audit(which, page, limit).await
    }

    pub(super) async fn reload_tokens(&self) -> Result<()> {
        let tokens = by_hash(&self.store).await?;
        *self.tokens.write().unwrap_or_else(PoisonError::into_inner) = tokens;
        Ok(())
    }
}

pub(super) async fn by_hash(store: &Store) -> Result<HashMap<KeyHash, Arc<StoredToken>>> {
    let tokens = store.tokens().await?;
    Ok(tokens.into_iter().map(|token| (token.hash.clone(), Arc::new(token))).collect())
}

fn target(id: &str) -> String {
    format!("api-tokens/{id}")
}

/// What the audit log says of a token.
fn told(token: &StoredToken) -> Value {
    json!({ "label": token.label, "allows": token.grant, "expires_at": token.expires_at })
}

/// So that people and scanners of leaked secrets see what it is.
const PREFIX: &str = "nca_";
/// All are in memory.
const MAX_TOKENS: usize = 10_000;
