//! What can go wrong in an origin.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;

use crate::transcode::wire;

/// A failure of the origin. `Display` says what was attempted; the cause is the source.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error(transparent)]
    Service(#[from] nearcast_service::Error),
    #[error("cannot record to `record.url` = {url:?}")]
    RecordStore {
        url: String,
        #[source]
        source: object_store::Error,
    },
    #[error("cannot use `failover.slate` = {path:?}")]
    Slate {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot start a transcoder")]
    SpawnTranscoder(#[source] io::Error),
    #[error("the transcoder ended with {status}: {words}")]
    Transcoder { status: ExitStatus, words: String },
    #[error("the transcoder closed its pipes")]
    TranscoderGone,
    #[error("the transcoder does not move")]
    TranscoderStuck,
    #[error("the transcoder broke the protocol")]
    TranscoderProtocol(#[from] wire::Error),
    #[error("the transcoder sent an unusable H.264 configuration")]
    TranscoderConfig(#[source] nearcast_media::Error),
}

/// The result of most of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
