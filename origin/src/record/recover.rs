//! Recordings that a crash left open: their playlists end where they were last written.

use std::time::SystemTime;

use bytes::Bytes;
use nearcast_media::hls::vod;

use super::store::Error;
use super::{Inner, OPEN};
use crate::package::id;

/// Recordings of this node that began before `start` and were not completed, as channel and broadcast.
pub(super) async fn left_open(recorder: &Inner, start: SystemTime) -> Result<Vec<(String, String)>, Error> {
    let now = id::broadcast(start, [0; 10]);
    let notes = recorder.store.list(&format!("{OPEN}/{}", recorder.node)).await?;
    let read = |(name, _)| {
        let name: String = name;
        let (channel, broadcast) = name.rsplit_once('/')?.1.split_once('.')?;
        // This process's own are not left.
        (broadcast < now.as_str()).then(|| (channel.to_owned(), broadcast.to_owned()))
    };
    let mut left: Vec<_> = notes.into_iter().filter_map(read).collect();
    left.sort();
    Ok(left)
}

/// Completes one: what its playlists list stays, and when they list nothing nothing does.
pub(super) async fn complete(recorder: &Inner, channel: &str, broadcast: &str) -> Result<(), Error> {
    let folder = format!("{channel}/{broadcast}");
    let store = &recorder.store;
    if store.text(&format!("{folder}/index.m3u8")).await?.is_none() {
        tracing::warn!(recording = %folder, "a crash left nothing to play of a recording: it is deleted");
        store.delete_all(&folder).await?;
    } else {
        let files = store.list(&folder).await?;
        for (name, _) in files.iter().filter(|(name, _)| name.ends_with("/media.m3u8")) {
            let Some(text) = store.text(name).await? else { continue };
            if let Some(complete) = vod::complete(&text) {
                store.put(name, vec![Bytes::from(complete)]).await?;
            }
        }
        recorder.metrics.recovered.inc();
        tracing::info!(recording = %folder, "a recording that a crash left open is complete");
    }
    store.delete(&recorder.note(channel, broadcast), 0).await
}
