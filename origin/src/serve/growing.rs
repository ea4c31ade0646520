//! A segment that is sent while it is made: part by part, for players that do not ask for parts.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::try_unfold;
use nearcast_service::http::Body;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::package::{Broadcast, Media, Progress};
use crate::transcode::Watching;

/// One response's way through a segment. It holds no more than the parts that are there already.
pub(super) struct Growing {
    broadcast: Arc<Broadcast>,
    changes: watch::Receiver<u64>,
    rendition: String,
    msn: u64,
    ready: VecDeque<Bytes>,
    /// Parts seen so far.
    seen: usize,
    whole: bool,
    patience: Duration,
    /// A rung is made for as long as this is sent.
    _watching: Option<Watching>,
}

/// Why a response is cut off, which is how the client learns that it has not got the segment.
#[derive(Debug, thiserror::Error)]
enum Cut {
    #[error("the next part did not come in time")]
    TooLate,
    #[error("the segment will not be whole")]
    Gone,
}

impl Growing {
    /// A segment of which `progress` is there. The next part is waited for as long as `patience`.
    pub(super) fn new(
        broadcast: Arc<Broadcast>,
        changes: watch::Receiver<u64>,
        rendition: &str,
        msn: u64,
        progress: Progress,
        patience: Duration,
    ) -> Self {
        let Progress { parts, whole } = progress;
        let (seen, ready, rendition) = (parts.len(), parts.into(), rendition.to_owned());
        let _watching = broadcast.watch(&rendition);
        Self { broadcast, changes, rendition, msn, ready, seen, whole, patience, _watching }
    }

    /// Its bytes. The length is known when it is whole already.
    pub(super) fn body(self) -> Body {
        if self.whole {
            return Body::chunks(self.ready.into());
        }
        let parts = try_unfold(self, async |mut growing| {
            Ok::<_, Cut>(growing.part().await?.map(|part| (part, growing)))
        });
        Body::stream(Box::pin(parts))
    }

    async fn part(&mut self) -> Result<Option<Bytes>, Cut> {
        loop {
            if let Some(part) = self.ready.pop_front() {
                return Ok(Some(part));
            }
            if self.whole {
                return Ok(None);
            }
            match self.broadcast.segment(&self.rendition, self.msn, self.seen) {
                Media::Ready(Progress { parts, whole }) => {
                    self.seen += parts.len();
                    (self.ready, self.whole) = (parts.into(), whole);
                }
                Media::Expected => match timeout(self.patience, self.changes.changed()).await {
                    Ok(Ok(())) => {}
                    Ok(Err(_gone)) => return Err(Cut::Gone),
                    Err(_elapsed) => return Err(Cut::TooLate),
                },
                Media::Moved | Media::Unknown => return Err(Cut::Gone),
            }
        }
    }
}
