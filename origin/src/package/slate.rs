//! The operator's slate: a picture file that a child process makes an IDR picture of a source's size.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use nearcast_media::codec::avc;
use nearcast_media::{Config as TrackConfig, Frame};
use nearcast_service::drain::Drain;
use nearcast_service::log::Chain;
use tokio::sync::oneshot;

use crate::error::{self, Error};
use crate::transcode::wire::{self, MAX_FRAME, Reply, Request};
use crate::transcode::{self, Process};

/// Makes the slates of all broadcasts. Clones are the same.
#[derive(Debug, Clone)]
pub struct Slates(Option<Arc<Inner>>);

#[derive(Debug)]
struct Inner {
    file: Bytes,
    /// What the child runs, and the bytes it may have.
    program: PathBuf,
    memory_bytes: u64,
    drain: Drain,
}

/// A picture to show instead of a source of this configuration.
#[derive(Debug)]
pub(super) struct Picture {
    pub(super) of: TrackConfig,
    pub(super) config: TrackConfig,
    pub(super) frame: Frame,
}

impl Slates {
    /// Of the picture in the file at `path`; none where that is empty.
    ///
    /// # Errors
    /// The file cannot be read, or is neither JPEG nor PNG.
    pub fn open(path: &Path, transcode: &transcode::Config, drain: &Drain) -> error::Result<Self> {
        if path.as_os_str().is_empty() {
            return Ok(Self(None));
        }
        let file = read(path).map_err(|source| Error::Slate { path: path.to_owned(), source })?;
        let (program, memory_bytes) = (transcode.program.clone(), transcode.memory_bytes);
        Ok(Self(Some(Arc::new(Inner { file, program, memory_bytes, drain: drain.clone() }))))
    }

    /// Makes none.
    pub fn none() -> Self {
        Self(None)
    }

    /// Begins to make the one for an H.264 source of this configuration. Another codec's players would have to switch
    /// decoders for it: there the last keyframe stands in.
    pub(super) fn make(&self, of: Option<&TrackConfig>) -> Option<oneshot::Receiver<Picture>> {
        let inner = Arc::clone(self.0.as_ref()?);
        let of = of.filter(|of| matches!(of, TrackConfig::Avc(_)))?.clone();
        let (sender, receiver) = oneshot::channel();
        let drain = inner.drain.clone();
        drain.spawn("slate", async move {
            match inner.drain.unless_draining(inner.picture(&of)).await {
                // Nobody waits for it any more when the broadcast is over.
                Some(Ok((config, frame))) => drop(sender.send(Picture { of, config, frame })),
                Some(Err(error)) => {
                    tracing::warn!(
                        "the slate cannot be made, the last picture will stand in: {}",
                        Chain(&error)
                    );
                }
                None => {}
            }
        });
        Some(receiver)
    }
}

impl Inner {
    async fn picture(&self, of: &TrackConfig) -> error::Result<(TrackConfig, Frame)> {
        let picture = of.picture().ok_or(wire::Error::Picture)?;
        let slate = wire::Slate {
            width: picture.width,
            height: picture.height,
            memory_bytes: self.memory_bytes,
            file: self.file.clone(),
        };
        let mut question = BytesMut::new();
        Request::Slate(slate).encode(&mut question);
        let answers = Process::spawn(&self.program)?.ask(question, PATIENCE).await?;
        let Ok([Reply::Config { record, .. }, Reply::Frame { frame, .. }]) = <[Reply; 2]>::try_from(answers)
        else {
            return Err(wire::Error::Picture.into());
        };
        let config = avc::Config::parse(&record).map_err(Error::TranscoderConfig)?;
        Ok((TrackConfig::Avc(config), frame))
    }
}

/// Says what is wrong with the picture in the file at `path`, if anything; there need not be one.
pub(super) fn check(path: &Path) -> Result<(), String> {
    match path.as_os_str().is_empty() {
        true => Ok(()),
        false => {
            read(path).map(drop).map_err(|error| format!("`failover.slate` {}: {error}", path.display()))
        }
    }
}

fn read(path: &Path) -> io::Result<Bytes> {
    let length = std::fs::metadata(path)?.len();
    if length > u64::from(MAX_FRAME) {
        return Err(io::Error::other(format!("it has {length} bytes, have at most {MAX_FRAME}")));
    }
    let file = std::fs::read(path)?;
    if !wire::is_picture(&file) {
        return Err(io::Error::other("it is neither a JPEG nor a PNG file"));
    }
    Ok(file.into())
}

/// A picture takes a tenth of a second; this is for a machine that has no time, and bounds one that hangs.
const PATIENCE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_no_picture_is_refused_with_the_reason() {
        let open = |path: &Path| Slates::open(path, &transcode::Config::default(), &Drain::new());
        assert!(open(Path::new("")).is_ok_and(|slates| slates.0.is_none()));
        let missing = open(Path::new("/nowhere/slate.png")).unwrap_err();
        assert!(missing.to_string().contains("/nowhere/slate.png"), "{missing}");
        let folder = std::env::temp_dir().join(format!("nearcast-slate-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        for (name, content, good) in [("a.txt", &b"GIF89a"[..], false), ("b.jpg", b"\xff\xd8\xff\xe0", true)]
        {
            std::fs::write(folder.join(name), content).unwrap();
            assert_eq!(open(&folder.join(name)).is_ok(), good, "{name}");
        }
        std::fs::remove_dir_all(folder).unwrap();
    }
}
