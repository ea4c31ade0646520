//! Many players at once: as light as players can be, so that two cores can carry hundreds.

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use tokio::task::JoinSet;

use super::{Media, Rendition, resolve};
use crate::client::Client;

/// `players` of one rendition side by side through one client, each with its own requests in flight, from
/// now until each has had `parts` parts as they came. Returns the bytes they got together.
pub async fn crowd(client: Arc<Client>, rendition: &Rendition, players: usize, parts: usize) -> Result<u64> {
    let mut set = JoinSet::new();
    for _ in 0..players {
        set.spawn(play(Arc::clone(&client), rendition.path.clone(), parts));
    }
    let mut bytes = 0;
    while let Some(player) = set.join_next().await {
        bytes += player??;
    }
    Ok(bytes)
}

async fn play(client: Arc<Client>, path: String, parts: usize) -> Result<u64> {
    let reply = client.get(&path).await?.expect(200)?;
    let mut list = Media::parse(reply.text()?)?;
    let init = resolve(&path, list.map.as_deref().context("no EXT-X-MAP")?);
    let mut bytes = client.get(&init).await?.expect(200)?.body.len() as u64;
    for _ in 0..parts {
        let (msn, part) = (list.growing_msn(), list.growing.len());
        let reload = format!("{path}?_HLS_msn={msn}&_HLS_part={part}");
        let hint = resolve(&path, list.hint.as_deref().context("no hint")?);
        let (reply, media) = tokio::try_join!(client.get(&reload), client.get(&hint))?;
        let (reply, media) = (reply.expect(200)?, media.expect(200)?);
        bytes += (reply.body.len() + media.body.len()) as u64;
        list = Media::parse(reply.text()?)?;
        ensure!(list.growing_msn() > msn || list.growing.len() > part, "{reload} was answered early");
    }
    Ok(bytes)
}
