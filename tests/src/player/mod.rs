//! A strict LL-HLS client: it follows a rendition as a player would and notes every rule that is broken.
//!
//! Playlists and boxes are read by code of this crate alone, so that our writers and readers cannot be
//! wrong together.

mod attributes;
mod boxes;
mod crowd;
mod evolution;
mod findings;
mod follow;
mod followed;
mod i_frames;
mod playlist;
mod rules;
#[cfg(test)]
mod tests;

use anyhow::{Context as _, Result, ensure};

pub use boxes::{Fragment, Init};
pub use crowd::crowd;
pub use findings::Findings;
pub use follow::{Until, follow};
pub use followed::Followed;
pub use i_frames::{Keyframe, keyframes};
pub use playlist::{Audio, Control, DateRange, IFrames, Media, Multivariant, Part, Report, Segment, Variant};

use crate::client::Client;

/// One rendition of a channel, as its multivariant playlist lists it.
#[derive(Debug, Clone)]
pub struct Rendition {
    /// `source`, `480p`, `audio`: the folder of its media playlist.
    pub name: String,
    /// Path of its media playlist.
    pub path: String,
    pub video: bool,
    /// Width and height.
    pub resolution: Option<(u32, u32)>,
}

/// Reads a channel's multivariant playlist, checks it strictly and lists its renditions, video first.
pub async fn renditions(client: &Client, channel: &str) -> Result<Vec<Rendition>> {
    let list = multivariant(client, channel).await?;
    let path = format!("/live/{channel}/index.m3u8");

    let variant = |variant: &Variant| {
        let video = variant.resolution.is_some();
        (variant.uri.clone(), video, variant.resolution)
    };
    let all = list.variants.iter().map(variant);
    let all = all.chain(list.audio.iter().map(|audio| (audio.uri.clone(), false, None)));
    let mut renditions: Vec<Rendition> = Vec::new();
    for (uri, video, resolution) in all {
        let path = resolve(&path, &uri);
        let name = path.rsplit('/').nth(1).unwrap_or_default().to_owned();
        if renditions.iter().all(|other| other.path != path) {
            renditions.push(Rendition { name, path, video, resolution });
        }
    }
    Ok(renditions)
}

/// Reads a channel's multivariant playlist and checks it strictly.
pub async fn multivariant(client: &Client, channel: &str) -> Result<Multivariant> {
    let path = format!("/live/{channel}/index.m3u8");
    let reply = client.get(&path).await?.expect(200)?;
    let list = Multivariant::parse(reply.text()?).with_context(|| format!("reading {path}"))?;
    let mut findings = Findings::default();
    findings.about(&path);
    rules::check_multivariant(&list, &mut findings);
    follow::check_headers(&reply, PLAYLIST_TYPE, &mut findings);
    ensure!(findings.is_empty(), "the multivariant playlist breaks rules:\n{findings}{}", reply.text()?);
    Ok(list)
}

/// The path that `uri` means in the document at `base` (RFC 3986 section 5, for relative paths).
pub fn resolve(base: &str, uri: &str) -> String {
    let folder = base.split('?').next().unwrap_or_default();
    let mut parts: Vec<&str> = folder.split('/').collect();
    parts.pop();
    for step in uri.split('/') {
        match step {
            "." => {}
            ".." => drop(parts.pop()),
            step => parts.push(step),
        }
    }
    parts.join("/")
}

const PLAYLIST_TYPE: &str = "application/vnd.apple.mpegurl";
