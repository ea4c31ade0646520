//! Everything that can go wrong in an edge, as one enum; `serve::respond` gives each its HTTP status.

use std::sync::Arc;
use std::time::Duration;

use nearcast_api::playback::Country;
use nearcast_media::hls::parse;
use nearcast_media::hls::request::BadRequest;

/// A failure of the edge. Cheap to clone, because one failed fetch answers everybody who waited for it.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The shell of the daemon could not be set up; it says why and what to do.
    #[error(transparent)]
    Start(Arc<nearcast_service::Error>),

    /// The request is wrong, not the edge.
    #[error("the delivery directives cannot be answered: {0}")]
    Directives(BadRequest),
    #[error("no origin has it: the channel is not live, or this part of it is over")]
    NotFound,
    /// Only media paths exist here.
    #[error("nothing is served under this path; playlists and media are under /live/")]
    NoRoute,
    #[error("this method is not allowed here: use GET, HEAD or OPTIONS")]
    Method,

    #[error(
        "this channel needs a playback token: ask for /~TOKEN/live/..., or send `Authorization: Bearer TOKEN` or the cookie \
         nearcast_token"
    )]
    NoToken,
    #[error("the playback token does not count: {why}")]
    BadToken { why: &'static str },
    #[error("{why}")]
    Forbidden { why: &'static str },
    #[error("this channel cannot be watched {}", place(*country))]
    Country { country: Option<Country> },
    /// So that it cannot be known who may watch.
    #[error("this edge has not heard from its control plane yet")]
    NoSnapshot,
    #[error("this viewer was sent away")]
    SentAway,
    /// It is one that was taken away, or has ended.
    #[error("the certificate of the node that asks does not count any more: it has to enrol again")]
    Dismissed,
    #[error("too many players use this viewer's tokens: one of them has to stop for ten seconds")]
    TooManySessions,
    #[error("{whose} asks too often")]
    TooManyRequests { whose: &'static str },
    #[error("`cache.disk`: {} cannot be used: make it writable, or leave it empty", folder.display())]
    Disk { folder: Arc<std::path::Path>, source: Cause },
    #[error("the database of countries cannot be used: {why}")]
    Countries { why: Arc<str> },
    #[error("the path and query are longer than {max} bytes: shorten the URL")]
    LongPath { max: usize },
    #[error("the request's body is longer than {max} bytes: send less")]
    LargeRequest { max: u64 },
    #[error("the request's body did not arrive in time: send it again")]
    SlowRequest,

    #[error("this edge knows no origin that is up")]
    NoOrigin,
    #[error("cannot reach {origin}")]
    Connect { origin: Arc<str>, source: Cause },
    /// The breaker is open: the parent failed lately and is left alone for a moment.
    #[error("{origin} failed repeatedly and is not asked again yet")]
    Broken { origin: Arc<str> },
    #[error("{origin} broke off its answer")]
    BrokeOff { origin: Arc<str>, source: Cause },
    #[error("{origin} sent {got} of {want} bytes")]
    Truncated { origin: Arc<str>, got: u64, want: u64 },
    #[error("{origin} sent an answer whose end cannot be told from a broken connection")]
    Unbounded { origin: Arc<str> },
    #[error("{origin} sent more than {limit} bytes")]
    TooLarge { origin: Arc<str>, limit: u64 },
    #[error("{origin} answered with status {status}")]
    Status { origin: Arc<str>, status: u16 },
    #[error("{origin} sent a playlist that cannot be read")]
    Playlist { origin: Arc<str>, source: parse::Error },
    #[error("{origin} sent an older playlist than before")]
    Regressed { origin: Arc<str> },
    #[error("{origin} did not answer within {} s", waited.as_secs_f32())]
    Timeout { origin: Arc<str>, waited: Duration },

    #[error("the request has been here before: `upstream.parents` of some edges lead back to this one")]
    Loop,
    #[error("the broadcast has not moved on for {} s", waited.as_secs())]
    HeldTooLong { waited: Duration },
    /// A bound of this edge is reached; `what` says which.
    #[error("this edge has as many {what} as it may")]
    Overloaded { what: &'static str },
    #[error("this edge is going away")]
    Draining,
}

/// The result of most of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A cause from another crate that is not `Clone` itself.
pub type Cause = Arc<dyn std::error::Error + Send + Sync>;

impl Error {
    /// True when the same request may succeed at another parent, or here in a moment: the parent failed, not
    /// the request.
    pub fn is_parents(&self) -> bool {
        match self {
            Self::Connect { .. }
            | Self::Broken { .. }
            | Self::BrokeOff { .. }
            | Self::Truncated { .. }
            | Self::Unbounded { .. }
            | Self::TooLarge { .. }
            | Self::Status { .. }
            | Self::Playlist { .. }
            | Self::Regressed { .. }
            | Self::Timeout { .. }
            | Self::NoOrigin => true,
            Self::Start(_)
            | Self::Directives(_)
            | Self::NotFound
            | Self::NoRoute
            | Self::Method
            | Self::NoToken
            | Self::BadToken { .. }
            | Self::Forbidden { .. }
            | Self::Country { .. }
            | Self::NoSnapshot
            | Self::SentAway
            | Self::Dismissed
            | Self::TooManySessions
            | Self::TooManyRequests { .. }
            | Self::Countries { .. }
            | Self::Disk { .. }
            | Self::LongPath { .. }
            | Self::LargeRequest { .. }
            | Self::SlowRequest
            | Self::Loop
            | Self::HeldTooLong { .. }
            | Self::Overloaded { .. }
            | Self::Draining => false,
        }
    }
}

fn place(country: Option<Country>) -> String {
    country
        .map_or_else(|| "where its viewer's country is not known".into(), |country| format!("in {country}"))
}

impl From<nearcast_service::Error> for Error {
    fn from(error: nearcast_service::Error) -> Self {
        Self::Start(Arc::new(error))
    }
}
