//! A broadcast's pictures in the making: one child process after the other, each for one picture or sheet.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use nearcast_api::BroadcastId;
use nearcast_media::Frame;
use nearcast_service::log::Chain;
use tokio::sync::mpsc;

use super::album::{COLUMNS, Due, Picture};
use super::{Inner, Shelf};
use crate::error::{Error, Result};
use crate::transcode::Process;
use crate::transcode::wire::{
    self, Input, Jpeg, MAX_FRAME, MAX_PICTURE, Reply, Request, Sheet, Source, Still,
};

/// A keyframe that is to be a picture.
#[derive(Debug)]
pub(super) struct Shot {
    pub(super) source: Source,
    pub(super) frame: Frame,
    /// Time of the oldest frame that can be played.
    pub(super) oldest: Option<i64>,
}

/// What the task needs.
pub(super) struct Maker {
    studio: Arc<Inner>,
    broadcast: BroadcastId,
    shelf: Arc<Shelf>,
    /// A failure has been logged.
    warned: bool,
}

impl Maker {
    pub(super) fn new(studio: Arc<Inner>, broadcast: BroadcastId, shelf: Arc<Shelf>) -> Self {
        Self { studio, broadcast, shelf, warned: false }
    }

    /// Until the broadcast is gone, or the origin drains.
    pub(super) async fn run(mut self, mut shots: mpsc::Receiver<Shot>) {
        let drain = self.studio.drain.clone();
        let work = async {
            while let Some(shot) = shots.recv().await {
                self.picture(shot).await;
                let due = self.shelf.album().due_sheet();
                if let Some(due) = due {
                    self.sheet(due).await;
                }
            }
        };
        // What is in the making then nobody waits for.
        drain.unless_draining(work).await;
    }

    async fn picture(&mut self, shot: Shot) {
        let Shot { source, frame, oldest } = shot;
        let (at, studio) = (frame.pts, &self.studio);
        let mut question = BytesMut::new();
        let (height, memory_bytes) = (studio.config.height, studio.memory_bytes);
        Request::Still(Still { source, height, memory_bytes }).encode(&mut question);
        Request::Frame(Input { frame, cut: true, behind: 0 }).encode(&mut question);
        match self.ask(question, MAX_PICTURE).await {
            Ok(Jpeg { width, height, data }) => {
                self.studio.metrics.pictures.inc();
                let picture = Picture { at, width, height, file: data };
                self.shelf.change(|album| {
                    album.add(picture, oldest);
                    album.shrink(MAX_BYTES);
                });
            }
            Err(error) => self.failed(&error),
        }
    }

    async fn sheet(&mut self, due: Due) {
        let Due { number, width, height, pictures } = due;
        let (columns, memory_bytes) = (COLUMNS, self.studio.memory_bytes);
        let mut question = BytesMut::new();
        Request::Sheet(Sheet { columns, width, height, memory_bytes, pictures }).encode(&mut question);
        match self.ask(question, MAX_FRAME as usize).await {
            Ok(sheet) => {
                self.studio.metrics.sheets.inc();
                self.shelf.change(|album| album.add_sheet(number, sheet.data));
            }
            // Tried again after the next picture.
            Err(error) => self.failed(&error),
        }
    }

    /// One child, when there is a place for it.
    async fn ask(&self, question: BytesMut, most: usize) -> Result<Jpeg> {
        // Never closed.
        let _place = self.studio.places.acquire().await.ok();
        let process = Process::spawn(&self.studio.program)?;
        match <[Reply; 1]>::try_from(process.ask(question, PATIENCE).await?) {
            Ok([Reply::Jpeg(jpeg)]) if is_plausible(&jpeg, most) => Ok(jpeg),
            _ => Err(wire::Error::Picture.into()),
        }
    }

    fn failed(&mut self, error: &Error) {
        self.studio.metrics.failed.inc();
        let (broadcast, cause) = (&self.broadcast, Chain(error));
        if std::mem::replace(&mut self.warned, true) {
            tracing::debug!(%broadcast, "a thumbnail could not be made: {cause}");
        } else {
            tracing::warn!(
                %broadcast,
                "a thumbnail could not be made; others of the broadcast that cannot will only be counted: {cause}"
            );
        }
    }
}

/// The child is trusted no more than the stranger whose bitstream it has read.
fn is_plausible(Jpeg { width, height, data }: &Jpeg, most: usize) -> bool {
    let is_jpeg = |data: &Bytes| data.starts_with(&[0xff, 0xd8, 0xff]) && data.ends_with(&[0xff, 0xd9]);
    *width > 0 && *height > 0 && data.len() <= most && is_jpeg(data)
}

/// A picture takes a tenth of a second; this is for a machine that has no time, and bounds one that hangs.
const PATIENCE: Duration = Duration::from_secs(10);

/// Of one broadcast: hours of pictures as they usually are.
const MAX_BYTES: usize = 8 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_picture_is_not_passed_on() {
        let jpeg = |width, data: &[u8]| Jpeg { width, height: 180, data: Bytes::copy_from_slice(data) };
        let file = b"\xff\xd8\xff\xdb...\xff\xd9";
        assert!(is_plausible(&jpeg(320, file), file.len()));
        assert!(!is_plausible(&jpeg(0, file), file.len()));
        assert!(!is_plausible(&jpeg(320, file), file.len() - 1));
        assert!(!is_plausible(&jpeg(320, b"<script>"), 100));
        assert!(!is_plausible(&jpeg(320, b""), 100));
    }
}
