//! Who may publish where: a stream key against the hashes in the snapshot.

use aws_lc_rs::digest;
use nearcast_api::ChannelId;
use nearcast_api::snapshot::{KeyHash, Snapshot};
use nearcast_media::splice::Rank;

/// The channel that `key` opens, and whether it is for its first encoder or for one that stands by.
///
/// Hashes of long random keys are compared, so the time that takes tells nobody anything.
pub fn channel<'a>(snapshot: &'a Snapshot, key: &str) -> Option<(&'a ChannelId, Rank)> {
    let hash = hash(key);
    let opens = |keys: &[KeyHash]| keys.iter().any(|known| known.0 == hash);
    snapshot.channels.iter().find_map(|(id, channel)| match channel {
        channel if opens(&channel.keys) => Some((id, Rank::Primary)),
        channel if opens(&channel.backup_keys) => Some((id, Rank::Backup)),
        _ => None,
    })
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
    use nearcast_api::snapshot::Channel;

    use super::*;

    #[test]
    fn a_key_opens_its_own_channel_only() {
        // printf %s abc | sha256sum
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let with_keys = |keys: &[&str]| Channel {
            keys: keys.iter().map(|key| KeyHash((*key).to_owned())).collect(),
            ..Channel::default()
        };
        let mut snapshot = Snapshot::default();
        snapshot.channels.insert("closed".parse().unwrap(), with_keys(&[]));
        snapshot.channels.insert("demo".parse().unwrap(), with_keys(&["00", abc]));
        let opened =
            |snapshot: &Snapshot, key| channel(snapshot, key).map(|(id, rank)| (id.to_string(), rank));
        assert_eq!(opened(&snapshot, "abc"), Some(("demo".into(), Rank::Primary)));
        assert_eq!(channel(&snapshot, "abd"), None);
        assert_eq!(channel(&snapshot, ""), None);
        let backup_keys = vec![KeyHash(abc.to_owned())];
        snapshot.channels.insert("demo".parse().unwrap(), Channel { backup_keys, ..Channel::default() });
        assert_eq!(opened(&snapshot, "abc"), Some(("demo".into(), Rank::Backup)));
    }
}
