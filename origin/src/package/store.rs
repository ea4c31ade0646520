//! A broadcast's bytes: those in memory, those on disk, and the way from one to the other.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use nearcast_media::hls::multivariant;
use nearcast_media::package::{Held, Move};
use nearcast_media::path::File;

use super::{Broadcast, Media};
use crate::dvr::Extent;

/// A file of a broadcast's.
#[derive(Debug, Clone)]
pub enum Stored {
    /// In pieces, not copied.
    Memory(Vec<Bytes>),
    Disk(Extent),
}

impl Stored {
    /// Its bytes, in pieces.
    ///
    /// # Errors
    /// It has been deleted meanwhile ([`io::ErrorKind::NotFound`]), or the disk fails.
    pub async fn read(self) -> io::Result<Vec<Bytes>> {
        match self {
            Self::Memory(pieces) => Ok(pieces),
            Self::Disk(extent) => Ok(vec![extent.read().await?]),
        }
    }
}

impl Broadcast {
    /// A file, if it is there now.
    pub(super) fn stored(&self, held: Held, rendition: &str, msn: u64) -> Option<Stored> {
        match held {
            Held::Memory(pieces) => Some(Stored::Memory(pieces)),
            Held::Elsewhere { offset, length } => {
                Some(Stored::Disk(self.shelf.as_ref()?.extent(rendition, msn, offset, length)))
            }
        }
    }

    /// What is left of a file that must be there or never will be: for those who do not wait.
    pub fn existing(&self, rendition: &str, file: File) -> Option<Stored> {
        match self.bytes(rendition, file) {
            Media::Ready(stored) => Some(stored),
            Media::Expected | Media::Moved | Media::Unknown => None,
        }
    }

    /// The names of its renditions so far, the leader's first.
    pub fn renditions(&self) -> Vec<String> {
        self.state().core.renditions().map(str::to_owned).collect()
    }

    /// What can be chosen from, as it stands.
    pub fn ladder(&self) -> Option<multivariant::Playlist> {
        self.state().core.multivariant()
    }

    /// Bytes in memory that are to stay there.
    pub(super) fn memory(&self) -> usize {
        self.state().core.memory() + self.thumbs.bytes()
    }

    /// Lets the oldest segments and pictures go until `bytes` are in memory; says how many are.
    pub(super) fn shrink(&self, bytes: usize) -> usize {
        let pictures = self.thumbs.shrink(bytes / PICTURES);
        let mut state = self.state();
        state.core.shrink(bytes.saturating_sub(pictures));
        let left = state.core.memory() + pictures;
        drop(state);
        self.move_out();
        left
    }

    /// Does what the packager wants done with segments that leave memory.
    pub(super) fn move_out(&self) {
        let Some(shelf) = &self.shelf else { return };
        // One at a time: settling one may take the lock again.
        loop {
            let next = self.state().core.poll_move();
            match next {
                None => return,
                Some(Move::Delete { rendition, msn }) => shelf.delete(&rendition, msn),
                Some(Move::Out { rendition, msn, parts }) => {
                    let (me, name) = (self.me.clone(), Arc::clone(&rendition));
                    shelf.write(&rendition, msn, parts, move |kept| {
                        if let Some(broadcast) = me.upgrade() {
                            broadcast.settle(&name, msn, kept);
                        }
                    });
                }
            }
        }
    }

    fn settle(&self, rendition: &str, msn: u64, kept: bool) {
        let wanted = self.state().core.settle(rendition, msn, kept);
        if let (true, false, Some(shelf)) = (kept, wanted, &self.shelf) {
            shelf.delete(rendition, msn);
        }
        self.move_out();
    }
}

/// Where memory is short, the part of a broadcast's that its small pictures may take.
const PICTURES: usize = 8;
