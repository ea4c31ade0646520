//! Who may watch: the keys of playback tokens, tokens made here, and viewers who are sent away.

use std::collections::BTreeMap;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ipnet::IpNet;
use jsonwebtoken::{EncodingKey, Header};
use nearcast_api::ChannelId;
use nearcast_api::playback::{Algorithm, Claims, Country, Key, LONGEST_TOKEN, Revocation};
use serde_json::json;

use super::{Plane, unix_millis};
use crate::access::Actor;
use crate::error::{Error, Result};
use crate::keys;
use crate::store::{Store, StoredPlaybackKey, StoredRevocation};

/// A playback key to be.
#[derive(Debug, Default)]
pub struct NewKey {
    pub algorithm: Algorithm,
    /// The public key or the secret, in base64url; none for a new one.
    pub key: Option<String>,
    pub channels: Vec<ChannelId>,
    pub label: String,
}

/// A playback token to be.
#[derive(Debug, Default)]
pub struct NewToken {
    pub subject: Option<String>,
    /// Seconds from now.
    pub expires_in: u64,
    pub networks: Option<Vec<IpNet>>,
    pub countries: Option<Vec<Country>>,
    pub sessions: Option<u32>,
}

/// A playback token.
#[derive(Debug)]
pub struct Token {
    pub id: String,
    pub token: String,
    /// Seconds since the Unix epoch.
    pub expires_at: u64,
}

impl Plane {
    /// All playback keys, oldest first.
    pub async fn playback_keys(&self) -> Result<Vec<StoredPlaybackKey>> {
        self.store.playback_keys().await
    }

    /// Adds a key whose tokens edges believe from now on.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the key is none of its algorithm.
    pub async fn add_playback_key(&self, by: &Actor, new: NewKey) -> Result<StoredPlaybackKey> {
        let _changing = self.changing.lock().await;
        let stored = self.store.playback_keys().await?;
        if stored.len() >= MAX_KEYS {
            return Err(Error::Full { what: "playback keys", max: MAX_KEYS });
        }
        let key = make(new)?;
        add_key(&self.store, by, &key).await?;
        self.in_force(self.reload_playback_keys()).await?;
        Ok(key)
    }

    /// Takes a key away: its tokens count no more.
    pub async fn delete_playback_key(&self, by: &Actor, id: &str) -> Result<()> {
        let _changing = self.changing.lock().await;
        let target = format!("playback-keys/{id}");
        let mut change = self.store.change(by, "deletePlaybackKey", target, unix_millis()).await?;
        change.delete_playback_key(id).await?;
        change.commit().await?;
        self.in_force(self.reload_playback_keys()).await
    }

    /// Makes a token that opens `channel`, signed with the newest key that can.
    pub async fn issue_token(&self, by: &Actor, channel: &ChannelId, new: NewToken) -> Result<Token> {
        self.store.channel(channel).await?;
        let opens = |key: &Key| key.channels.is_empty() || key.channels.contains(channel);
        let keys = self.store.playback_keys().await?;
        let key = keys.into_iter().rev().find(|stored| stored.signing.is_some() && opens(&stored.key));
        let (now, id) = (unix_millis() / 1000, keys::random_id());
        let expires_at = now.saturating_add(new.expires_in);
        let claims = Claims {
            exp: expires_at,
            nbf: None,
            jti: Some(id.clone()),
            sub: new.subject,
            channels: vec![channel.as_str().to_owned()],
            networks: new.networks,
            countries: new.countries,
            sessions: new.sessions,
        };
        let token = sign(&key.ok_or_else(|| Error::NoSigningKey(channel.clone()))?, &claims)?;
        if token.len() > LONGEST_TOKEN {
            let problem =
                "the token would be longer than 4096 bytes, which no edge takes: list fewer networks";
            return Err(Error::Invalid { field: "networks", problem: problem.to_owned() });
        }
        let target = format!("channels/{channel}/tokens/{id}");
        let mut change = self.store.change(by, "createPlaybackToken", target, unix_millis()).await?;
        change.after(&claims);
        change.commit().await?;
        Ok(Token { id, token, expires_at })
    }

    /// Who is away, oldest first.
    pub async fn revocations(&self) -> Result<Vec<StoredRevocation>> {
        self.store.revocations(unix_millis()).await
    }

    /// Sends viewers away, for as many seconds.
    pub async fn revoke(&self, by: &Actor, revocation: Revocation, seconds: u64) -> Result<StoredRevocation> {
        let _changing = self.changing.lock().await;
        let created_at = unix_millis();
        if self.store.revocations(created_at).await?.len() >= MAX_REVOCATIONS {
            return Err(Error::Full { what: "revocations", max: MAX_REVOCATIONS });
        }
        let until = created_at.saturating_add(seconds.saturating_mul(1000));
        let revocation = Revocation { until, ..revocation };
        let stored = StoredRevocation { id: keys::random_id(), revocation, created_at };
        let target = format!("revocations/{}", stored.id);
        let mut change = self.store.change(by, "createRevocation", target, created_at).await?;
        change.add_revocation(&stored).await?;
        change.after(&stored.revocation);
        change.commit().await?;
        self.in_force(self.reload_revocations()).await?;
        Ok(stored)
    }

    /// Lets them in again.
    pub async fn delete_revocation(&self, by: &Actor, id: &str) -> Result<()> {
        let _changing = self.changing.lock().await;
        let target = format!("revocations/{id}");
        let mut change = self.store.change(by, "deleteRevocation", target, unix_millis()).await?;
        change.delete_revocation(id).await?;
        change.commit().await?;
        self.in_force(self.reload_revocations()).await
    }

    async fn reload_playback_keys(&self) -> Result<()> {
        let keys = verifying(&self.store.playback_keys().await?);
        self.change(|fleet| fleet.set_playback_keys(keys));
        Ok(())
    }

    async fn reload_revocations(&self) -> Result<()> {
        let running = running(&self.store).await?;
        self.change(|fleet| fleet.set_revocations(running));
        Ok(())
    }
}

/// Makes a first playback key where there is none, as the API's tokens are.
pub(super) async fn first_key(store: &Store) -> Result<()> {
    if store.playback_keys().await?.is_empty() {
        let first = make(NewKey { label: "made at the start".into(), ..NewKey::default() })?;
        add_key(store, &Actor::own(), &first).await?;
    }
    Ok(())
}

async fn add_key(store: &Store, by: &Actor, key: &StoredPlaybackKey) -> Result<()> {
    let target = format!("playback-keys/{}", key.id);
    let mut change = store.change(by, "createPlaybackKey", target, key.created_at).await?;
    change.add_playback_key(key).await?;
    change
        .after(&json!({ "algorithm": key.key.algorithm, "channels": key.key.channels, "label": key.label }));
    change.commit().await
}

/// What edges need of the keys.
pub(super) fn verifying(keys: &[StoredPlaybackKey]) -> BTreeMap<String, Key> {
    keys.iter().map(|stored| (stored.id.clone(), stored.key.clone())).collect()
}

/// The revocations that are not over.
pub(super) async fn running(store: &Store) -> Result<BTreeMap<String, Revocation>> {
    let stored = store.revocations(unix_millis()).await?;
    Ok(stored.into_iter().map(|stored| (stored.id, stored.revocation)).collect())
}

fn make(NewKey { algorithm, key, channels, label }: NewKey) -> Result<StoredPlaybackKey> {
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let given = key.map(|key| check(algorithm, key)).transpose()?;
    let (key, signing) = match (algorithm, given) {
        (Algorithm::EdDsa, Some(public)) => (public, None),
        (Algorithm::EdDsa, None) => {
            let pair = Ed25519KeyPair::generate().map_err(|_| Error::Sign)?;
            let pkcs8 = pair.to_pkcs8v1().map_err(|_| Error::Sign)?;
            (encode(pair.public_key().as_ref()), Some(encode(pkcs8.as_ref())))
        }
        (Algorithm::Hs256, Some(secret)) => (secret.clone(), Some(secret)),
        (Algorithm::Hs256, None) => {
            let secret = encode(&rand::random::<[u8; SECRET]>());
            (secret.clone(), Some(secret))
        }
    };
    let key = Key { algorithm, key, channels };
    Ok(StoredPlaybackKey { id: keys::random_id(), key, signing, label, created_at: unix_millis() })
}

fn check(algorithm: Algorithm, key: String) -> Result<String> {
    let invalid = |problem: &str| Err(Error::Invalid { field: "key", problem: problem.to_owned() });
    let Ok(bytes) = URL_SAFE_NO_PAD.decode(&key) else {
        return invalid("use base64url without padding (RFC 4648 section 5)");
    };
    match algorithm {
        Algorithm::EdDsa if bytes.len() != 32 => {
            invalid("an Ed25519 public key has 32 bytes (`x` of its JWK); never send the private one")
        }
        Algorithm::Hs256 if !(SECRET..=MAX_SECRET).contains(&bytes.len()) => {
            invalid("a secret for HS256 has 32 to 512 bytes (RFC 7518 section 3.2)")
        }
        Algorithm::EdDsa | Algorithm::Hs256 => Ok(key),
    }
}

fn sign(key: &StoredPlaybackKey, claims: &Claims) -> Result<String> {
    let signing = key.signing.as_deref().and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
    let signing = signing.ok_or(Error::Sign)?;
    let (algorithm, signing) = match key.key.algorithm {
        Algorithm::EdDsa => (jsonwebtoken::Algorithm::EdDSA, EncodingKey::from_ed_der(&signing)),
        Algorithm::Hs256 => (jsonwebtoken::Algorithm::HS256, EncodingKey::from_secret(&signing)),
    };
    let header = Header { kid: Some(key.id.clone()), ..Header::new(algorithm) };
    jsonwebtoken::encode(&header, claims, &signing).map_err(|_| Error::Sign)
}

/// Bytes of an HMAC secret: as many as the hash has.
const SECRET: usize = 32;
const MAX_SECRET: usize = 512;
/// Every edge has all of them.
const MAX_KEYS: usize = 1_000;
const MAX_REVOCATIONS: usize = 10_000;
