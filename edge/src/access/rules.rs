//! What a snapshot says of who may watch, in the form in which each request asks for it.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use nearcast_api::playback::{self, Revocation};
use nearcast_api::snapshot::{Channel, Snapshot};

use super::token::Verified;
use crate::error::{Error, Result};

/// The rules of one snapshot.
#[derive(Debug)]
pub struct Rules {
    snapshot: Arc<Snapshot>,
    keys: HashMap<String, Arc<Key>>,
    /// Those that name a token or a subject, by it.
    revoked_tokens: HashMap<String, Vec<Revocation>>,
    revoked_subjects: HashMap<String, Vec<Revocation>>,
    /// Those that name nothing but a network.
    revoked_networks: Vec<Revocation>,
    /// Channels that had rules and were deleted: what is still cached of them is not open to everybody now.
    gone: HashSet<String>,
    guarded: bool,
    asks_country: bool,
}

/// A key that tokens are verified with.
pub struct Key {
    /// The `kid` of its tokens.
    pub id: String,
    pub algorithm: Algorithm,
    pub decoding: DecodingKey,
    /// As it is in the snapshot.
    pub stated: playback::Key,
}

impl Rules {
    /// The rules of `snapshot`. Keys that `before` has too stay the same objects, by which tokens that were verified know
    /// them again.
    pub fn new(snapshot: Arc<Snapshot>, before: Option<&Self>) -> Self {
        let key = |(id, stated): (&String, &playback::Key)| {
            let same = before.and_then(|before| before.keys.get(id)).filter(|key| key.stated == *stated);
            let key = same.cloned().or_else(|| Key::new(id, stated).map(Arc::new));
            if key.is_none() {
                tracing::warn!(key = id, "a playback key cannot be read: its tokens are refused");
            }
            Some((id.clone(), key?))
        };
        let keys = snapshot.playback_keys.iter().filter_map(key).collect();
        let (mut revoked_tokens, mut revoked_subjects) = (HashMap::new(), HashMap::new());
        let mut revoked_networks = Vec::new();
        for revocation in snapshot.revocations.values() {
            let list: &mut Vec<Revocation> = match (&revocation.token, &revocation.subject) {
                (Some(token), _) => revoked_tokens.entry(token.clone()).or_default(),
                (None, Some(subject)) => revoked_subjects.entry(subject.clone()).or_default(),
                (None, None) => &mut revoked_networks,
            };
            list.push(revocation.clone());
        }
        let is_gone = |id: &str| !snapshot.channels.contains_key(id);
        let gone = before.into_iter().flat_map(|before| {
            let ruled = before.snapshot.channels.iter();
            let ruled =
                ruled.filter(|(id, channel)| is_gone(id.as_str()) && channel.settings.playback.is_some());
            let before = before.gone.iter().filter(|id| is_gone(id)).cloned();
            ruled.map(|(id, _)| id.to_string()).chain(before)
        });
        let gone: HashSet<_> = gone.collect();
        let mut ruled =
            snapshot.channels.values().filter_map(|channel| channel.settings.playback.as_ref()).peekable();
        let guarded = ruled.peek().is_some() || !snapshot.revocations.is_empty() || !gone.is_empty();
        let asks_country = ruled.any(|rule| rule.asks_country());
        Self {
            keys,
            revoked_tokens,
            revoked_subjects,
            revoked_networks,
            gone,
            guarded,
            asks_country,
            snapshot,
        }
    }

    /// The snapshot's version.
    pub fn version(&self) -> u64 {
        self.snapshot.version
    }

    /// False when everybody may watch everything.
    pub fn is_guarded(&self) -> bool {
        self.guarded
    }

    /// Whether some channel is for some countries only.
    pub fn asks_country(&self) -> bool {
        self.asks_country
    }

    /// What is known of a channel.
    pub fn of(&self, channel: &str) -> Option<&Channel> {
        self.snapshot.channels.get(channel)
    }

    /// Whether a channel had rules and is no more.
    pub fn is_gone(&self, channel: &str) -> bool {
        self.gone.contains(channel)
    }

    /// The key that tokens call `kid`.
    pub fn key(&self, kid: &str) -> Option<&Arc<Key>> {
        self.keys.get(kid)
    }

    /// Whether a token that was verified with `key` counts still.
    pub fn has(&self, key: &Arc<Key>) -> bool {
        self.keys.get(&key.id).is_some_and(|known| Arc::ptr_eq(known, key))
    }

    /// An error for who was sent away by where they are. `now` is in milliseconds since the Unix epoch.
    pub fn refuse_network(&self, channel: &str, address: IpAddr, now: u64) -> Result<()> {
        let matches = |revocation: &Revocation| holds(revocation, channel, address, now);
        if self.revoked_networks.iter().any(matches) { Err(Error::SentAway) } else { Ok(()) }
    }

    /// An error for who was sent away by their token, or by who they are.
    pub fn refuse_token(&self, channel: &str, address: IpAddr, token: &Verified, now: u64) -> Result<()> {
        let (claims, subject) = (&token.claims, token.claims.sub.as_deref());
        let by_token = claims.jti.as_ref().and_then(|token| self.revoked_tokens.get(token));
        let by_token = by_token.into_iter().flatten().filter(|revocation| {
            revocation.subject.as_deref().is_none_or(|revoked| subject == Some(revoked))
        });
        let by_subject = subject.and_then(|subject| self.revoked_subjects.get(subject));
        let mut named = by_token.chain(by_subject.into_iter().flatten());
        let matches = |revocation: &Revocation| holds(revocation, channel, address, now);
        if named.any(matches) { Err(Error::SentAway) } else { Ok(()) }
    }
}

/// Whether a revocation is about this channel, address and time.
fn holds(revocation: &Revocation, channel: &str, address: IpAddr, now: u64) -> bool {
    now < revocation.until
        && revocation.channel.as_ref().is_none_or(|only| only.as_str() == channel)
        && revocation.network.is_none_or(|network| network.contains(&address))
}

impl Key {
    fn new(id: &str, stated: &playback::Key) -> Option<Self> {
        let (algorithm, decoding) = match stated.algorithm {
            playback::Algorithm::EdDsa => {
                (Algorithm::EdDSA, DecodingKey::from_ed_components(&stated.key).ok()?)
            }
            playback::Algorithm::Hs256 => {
                (Algorithm::HS256, DecodingKey::from_secret(&URL_SAFE_NO_PAD.decode(&stated.key).ok()?))
            }
        };
        Some(Self { id: id.to_owned(), algorithm, decoding, stated: stated.clone() })
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}
