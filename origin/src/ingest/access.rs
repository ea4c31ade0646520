//! Who may publish where, and for how long: a stream key against the hashes in the snapshot.

use std::fmt;

use aws_lc_rs::digest;
use nearcast_api::ChannelId;
use nearcast_api::snapshot::{Channel, KeyHash, Snapshot};
use nearcast_media::splice::Rank;

/// A stream key that has opened a channel.
#[derive(Clone, PartialEq, Eq)]
pub struct Pass {
    pub channel: ChannelId,
    /// Whether it is for the channel's first encoder or for one that stands by.
    pub rank: Rank,
    key: String,
    hash: String,
}

/// Why a key opens nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    #[error("unknown stream key: copy the key of your channel into the encoder, or create a new one")]
    Unknown,
    #[error("channel {0} is closed: nobody can publish until its admin opens it again")]
    Closed(ChannelId),
    #[error("the stream key has been deleted: create a new one for channel {0}")]
    Deleted(ChannelId),
}

/// What `key` opens.
///
/// Hashes of long random keys are compared, so the time that takes tells nobody anything.
pub fn open(snapshot: &Snapshot, key: &str) -> Result<Pass, Denied> {
    let hash = hash(key);
    let (id, channel, rank) = snapshot
        .channels
        .iter()
        .find_map(|(id, channel)| Some((id, channel, rank(channel, &hash)?)))
        .ok_or(Denied::Unknown)?;
    if channel.settings.is_closed() {
        return Err(Denied::Closed(id.clone()));
    }
    Ok(Pass { channel: id.clone(), rank, key: key.to_owned(), hash })
}

impl Pass {
    /// The key itself, for the doors of other origins.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Whether the key still opens its channel.
    ///
    /// # Errors
    /// The channel has been closed or deleted, or the key has.
    pub fn check(&self, snapshot: &Snapshot) -> Result<(), Denied> {
        let channel = snapshot.channels.get(&self.channel);
        match channel.filter(|channel| rank(channel, &self.hash).is_some()) {
            None => Err(Denied::Deleted(self.channel.clone())),
            Some(channel) if channel.settings.is_closed() => Err(Denied::Closed(self.channel.clone())),
            Some(_) => Ok(()),
        }
    }
}

impl fmt::Debug for Pass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The key is a secret.
        f.debug_struct("Pass")
            .field("channel", &self.channel)
            .field("rank", &self.rank)
            .finish_non_exhaustive()
    }
}

impl Denied {
    /// For metrics and events.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Unknown => "unknown_key",
            Self::Closed(_) => "closed",
            Self::Deleted(_) => "deleted_key",
        }
    }
}

fn rank(channel: &Channel, hash: &str) -> Option<Rank> {
    let opens = |keys: &[KeyHash]| keys.iter().any(|known| known.0 == hash);
    match channel {
        channel if opens(&channel.keys) => Some(Rank::Primary),
        channel if opens(&channel.backup_keys) => Some(Rank::Backup),
        _ => None,
    }
}

/// SHA-256 as [`nearcast_api::snapshot::KeyHash`] has it.
fn hash(key: &str) -> String {
    use std::fmt::Write;
    let digest = digest::digest(&digest::SHA256, key.as_bytes());
    digest.as_ref().iter().fold(String::with_capacity(64), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _infallible = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use nearcast_api::channel::Settings;

    use super::*;

    /// printf %s abc | sha256sum
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn with_keys(keys: &[&str]) -> Channel {
        Channel { keys: keys.iter().map(|key| KeyHash((*key).to_owned())).collect(), ..Channel::default() }
    }

    fn snapshot(channels: impl IntoIterator<Item = (&'static str, Channel)>) -> Snapshot {
        let channels = channels.into_iter().map(|(id, channel)| (id.parse().unwrap(), channel)).collect();
        Snapshot { channels, ..Snapshot::default() }
    }

    #[test]
    fn a_key_opens_its_own_channel_only() {
        let primary = snapshot([("other", with_keys(&[])), ("demo", with_keys(&["00", ABC]))]);
        let pass = open(&primary, "abc").unwrap();
        assert_eq!((pass.channel.as_str(), pass.rank, pass.key()), ("demo", Rank::Primary, "abc"));
        assert_eq!(open(&primary, "abd"), Err(Denied::Unknown));
        assert_eq!(open(&primary, ""), Err(Denied::Unknown));
        let backup_keys = vec![KeyHash(ABC.to_owned())];
        let backup = snapshot([("demo", Channel { backup_keys, ..Channel::default() })]);
        assert_eq!(open(&backup, "abc").unwrap().rank, Rank::Backup);
    }

    #[test]
    fn what_was_opened_stays_so_until_key_or_channel_are_taken_away() {
        let demo = with_keys(&[ABC]);
        let closed = Settings { closed: Some(true), ..Settings::default() };
        let closed = snapshot([("demo", Channel { settings: closed, ..demo.clone() })]);
        let id: ChannelId = "demo".parse().unwrap();
        let before = snapshot([("demo", demo)]);
        let pass = open(&before, "abc").unwrap();
        assert_eq!(pass.check(&before), Ok(()));
        assert_eq!(pass.check(&snapshot([("demo", with_keys(&["00"]))])), Err(Denied::Deleted(id.clone())));
        assert_eq!(pass.check(&snapshot([])), Err(Denied::Deleted(id.clone())));
        assert_eq!(pass.check(&closed), Err(Denied::Closed(id.clone())));
        assert_eq!(open(&closed, "abc"), Err(Denied::Closed(id)));
    }
}
