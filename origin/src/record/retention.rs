//! What happens to recordings later: those left open are completed at the start, those too old or too many go.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use nearcast_service::backoff::Backoff;
use nearcast_service::log::Chain;

use super::store::Error;
use super::{Inner, OPEN, RETRY, recover};

/// Completes what was left open, then looks around every hour.
pub(super) async fn keep(recorder: Arc<Inner>) {
    let drain = recorder.drain.clone();
    let start = SystemTime::now();
    let (first, longest) = RETRY;
    let mut backoff = Backoff::new(first, longest);
    let work = async {
        loop {
            match recover_all(&recorder, start).await {
                Ok(()) => break,
                Err(error) => {
                    tracing::warn!("cannot complete recordings, trying again: {}", Chain(&error));
                    tokio::time::sleep(backoff.delay()).await;
                }
            }
        }
        loop {
            let limited = recorder.config.keep_days > 0 || recorder.config.keep_bytes > 0;
            if limited && let Err(error) = delete_old(&recorder).await {
                tracing::warn!("cannot delete old recordings, trying again later: {}", Chain(&error));
            }
            recorder.store.measure().await;
            let full = recorder.metrics.full.get() > 0;
            tokio::time::sleep(if full { WHILE_FULL } else { USUALLY }).await;
        }
    };
    let _drained = drain.unless_draining(work).await;
}

async fn recover_all(recorder: &Inner, start: SystemTime) -> Result<(), Error> {
    for (channel, broadcast) in recover::left_open(recorder, start).await? {
        recover::complete(recorder, &channel, &broadcast).await?;
    }
    Ok(())
}

async fn delete_old(recorder: &Inner) -> Result<(), Error> {
    let mut recordings: BTreeMap<(String, String), Kept> = BTreeMap::new();
    let mut open = BTreeSet::new();
    for (name, meta) in recorder.store.list("").await? {
        let parts: Vec<&str> = name.split('/').collect();
        match parts[..] {
            [OPEN, _, note] => drop(open.insert(note.replacen('.', "/", 1))),
            [channel, broadcast, _, ..] => {
                let key = (channel.to_owned(), broadcast.to_owned());
                let written = SystemTime::from(meta.last_modified);
                let kept = recordings.entry(key).or_insert(Kept { bytes: 0, written });
                kept.bytes += meta.size;
                kept.written = kept.written.max(written);
            }
            _ => {}
        }
    }
    recordings.retain(|(channel, broadcast), _| !open.contains(&format!("{channel}/{broadcast}")));
    let config = &recorder.config;
    for (channel, broadcast) in expired(recordings, SystemTime::now(), config.keep_days, config.keep_bytes) {
        let recording = format!("{channel}/{broadcast}");
        recorder.store.delete_all(&recording).await?;
        recorder.metrics.deleted.inc();
        tracing::info!(
            recording,
            "a recording is deleted, as `record.keep_days` and `record.keep_bytes` say"
        );
    }
    Ok(())
}

/// A whole recording.
#[derive(Debug, Clone, Copy)]
struct Kept {
    bytes: u64,
    /// When it was last written to.
    written: SystemTime,
}

/// Which recordings go, by channel and broadcast: those older than `days`, and the oldest of each channel beyond
/// `bytes`. 0 is no limit.
fn expired(
    recordings: BTreeMap<(String, String), Kept>,
    now: SystemTime,
    days: u64,
    bytes: u64,
) -> Vec<(String, String)> {
    let oldest = Duration::from_secs(days.saturating_mul(24 * 3600));
    let mut sums: BTreeMap<String, u64> = BTreeMap::new();
    let mut gone = Vec::new();
    // Broadcasts sort by time: the newest of a channel first.
    for ((channel, broadcast), kept) in recordings.into_iter().rev() {
        let sum = sums.entry(channel.clone()).or_default();
        *sum = sum.saturating_add(kept.bytes);
        let old = days > 0 && now.duration_since(kept.written).is_ok_and(|age| age > oldest);
        if old || bytes > 0 && *sum > bytes {
            gone.push((channel, broadcast));
        }
    }
    gone
}

const USUALLY: Duration = Duration::from_secs(3600);
/// People make room, and expect to see that it helps.
const WHILE_FULL: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_recordings_go_by_age_and_by_size_of_their_channel() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(100 * 24 * 3600);
        let kept =
            |days_ago: u64, bytes| Kept { bytes, written: now - Duration::from_secs(days_ago * 24 * 3600) };
        let recordings: BTreeMap<_, _> = [
            (("a", "1"), kept(9, 10)),
            (("a", "2"), kept(5, 10)),
            (("a", "3"), kept(1, 10)),
            (("b", "1"), kept(8, 10)),
            (("b", "2"), kept(0, 90)),
        ]
        .into_iter()
        .map(|((channel, broadcast), kept)| ((channel.to_owned(), broadcast.to_owned()), kept))
        .collect();
        let gone = |days, bytes| {
            let gone = expired(recordings.clone(), now, days, bytes);
            gone.into_iter().map(|(channel, broadcast)| channel + &broadcast).collect::<Vec<_>>()
        };
        assert_eq!(gone(0, 0), [""; 0]);
        assert_eq!(gone(7, 0), ["b1", "a1"]);
        assert_eq!(gone(0, 20), ["b2", "b1", "a1"]);
        assert_eq!(gone(2, 25), ["b2", "b1", "a2", "a1"]);
    }
}
