//! A recording as it lies in a bucket, and what FFmpeg makes of it and of what was live.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use tokio::process::Command;

use crate::client::Client;
use crate::player::{Media, Rendition, resolve};
use crate::world::World;

/// A broadcast's folder in the directory of recordings.
#[derive(Debug)]
pub struct Recording {
    pub folder: PathBuf,
}

impl Recording {
    /// The only recording of a channel, in the origin's default directory. `None` while there is none.
    pub fn of(world: &World, channel: &str) -> Option<Self> {
        let mut recordings = std::fs::read_dir(directory(world).join(channel)).ok()?;
        let folder = recordings.next()?.ok()?.path();
        recordings.next().is_none().then_some(Self { folder })
    }

    /// What a player opens.
    pub fn index(&self) -> PathBuf {
        self.folder.join("index.m3u8")
    }

    /// The text of a rendition's playlist, or nothing while there is none.
    pub fn playlist(&self, rendition: &str) -> String {
        std::fs::read_to_string(self.folder.join(rendition).join("media.m3u8")).unwrap_or_default()
    }

    /// The names of a rendition's segments.
    pub fn segments(&self, rendition: &str) -> Vec<String> {
        let text = self.playlist(rendition);
        text.lines().filter(|line| line.ends_with(".m4s")).map(str::to_owned).collect()
    }

    /// Nothing will be added to any rendition's playlist.
    pub fn complete(&self, renditions: &[&str]) -> bool {
        renditions.iter().all(|rendition| self.playlist(rendition).ends_with("#EXT-X-ENDLIST\n"))
    }
}

/// The origin's directory of recordings.
pub fn directory(world: &World) -> PathBuf {
    world.folder.join("data/origin-1/recordings")
}

/// Notes of recordings that are not complete.
pub fn open(world: &World) -> usize {
    std::fs::read_dir(directory(world).join("_open/origin-1")).map_or(0, Iterator::count)
}

/// All that a rendition's playlist lists, fetched from an edge: names and bytes of the segments, and a file that any
/// decoder reads.
pub async fn everything(viewer: &Client, rendition: &Rendition) -> Result<(Vec<(String, Vec<u8>)>, Vec<u8>)> {
    let list = Media::parse(viewer.get(&rendition.path).await?.expect(200)?.text()?)?;
    ensure!(list.ended && list.msn == 0, "the playlist does not list the whole broadcast");
    let map = resolve(&rendition.path, list.map.as_deref().context("no EXT-X-MAP")?);
    let mut file = viewer.get(&map).await?.expect(200)?.body.to_vec();
    let mut segments = Vec::new();
    for segment in &list.segments {
        let body = viewer.get(&resolve(&rendition.path, &segment.uri)).await?.expect(200)?.body;
        file.extend_from_slice(&body);
        segments.push((segment.uri.clone(), body.to_vec()));
    }
    Ok((segments, file))
}

/// Size and MD5 of each coded frame of one kind (`v` or `a`), as FFmpeg reads them.
pub async fn samples(input: &Path, kind: &str) -> Result<Vec<String>> {
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-i"]).arg(input);
    command.args(["-map", &format!("0:{kind}:0"), "-c", "copy", "-f", "framemd5", "-"]);
    let output = command.output().await.context("running ffmpeg")?;
    let complaints = String::from_utf8_lossy(&output.stderr);
    let input = input.display();
    ensure!(output.status.success() && complaints.trim().is_empty(), "ffmpeg {input}:\n{complaints}");
    let text = String::from_utf8(output.stdout)?;
    // stream, dts, pts, duration, size, hash
    let sample = |line: &str| line.splitn(5, ',').nth(4).map(|rest| rest.trim().to_owned());
    Ok(text.lines().filter(|line| !line.starts_with('#')).filter_map(sample).collect())
}
