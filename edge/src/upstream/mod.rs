//! The way to the origins: which one has a channel, asking it with limits, and leaving it alone when it fails. Where
//! there is a tier of edges above, they are asked first ([`tier`]).
//!
//! Retries live here and nowhere else: a fetch that failed at one parent's URL is tried at the next, or once more
//! at the only one, as long as the [`retry::Budget`] lasts. (The chain of a followed rendition is not retried here;
//! `follow` goes on asking by itself.)

pub mod health;
pub mod retry;
pub mod route;

mod opened;
mod tier;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use futures_util::stream::{FuturesUnordered, StreamExt};
use http::header::{USER_AGENT, VIA};
use http::{HeaderValue, Request, StatusCode};
use nearcast_api::NodeId;
use nearcast_api::snapshot::Snapshot;
use nearcast_media::hls::request::Directives;
use nearcast_media::path::{Resource, Thumb};
use nearcast_service::client;
use nearcast_service::fleet::FleetHttp;
use nearcast_service::http::Body;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use self::health::Breaker;
use self::opened::Limits;
use self::retry::Budget;
use self::route::{Learned, Parent};
use self::tier::{Above, Tier};
use crate::access::fleet::{Nodes, Pass};
use crate::access::limits::Limiter;
use crate::error::{Error, Result};
use crate::metrics;

pub use self::opened::Opened;

/// `[upstream]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Base URLs of origins to ask beside those that the control plane names.
    pub origins: Vec<String>,
    /// Base URLs of edges to ask instead of origins: for one rendition all edges with the same list ask the same of
    /// them. When none of them answers, the origins are asked. Empty for those that the topology names.
    pub parents: Vec<String>,
    /// Milliseconds after which another parent is asked beside one that has not answered what exists already; 0 for
    /// never.
    pub hedge_ms: u64,
    /// PEM file of the authorities to trust in `https://`; empty for the system's.
    pub ca: std::path::PathBuf,
    /// Milliseconds for one TCP connection.
    pub connect_timeout_ms: u64,
    /// Seconds until the headers of an answer that exists already.
    pub answer_timeout: u64,
    /// Seconds until the headers of an answer that may be held: a part that is being made.
    pub hold_timeout: u64,
    /// Seconds between two pieces of a body.
    pub idle_timeout: u64,
}

/// The client side of the edge. Share it in an `Arc`.
#[derive(Debug)]
pub struct Upstream {
    client: FleetHttp,
    config: Config,
    snapshot: watch::Receiver<Arc<Snapshot>>,
    tier: ArcSwap<Tier>,
    learned: Learned,
    breakers: Mutex<HashMap<Arc<str>, Breaker>>,
    budget: Budget,
    /// How often all origins are asked for a channel that nothing is known of.
    searches: Limiter,
    via: HeaderValue,
    /// What is shown to edges above.
    pass: Option<Pass>,
    metrics: metrics::Upstream,
}

/// One question to a parent.
#[derive(Debug, Clone, Copy)]
struct Question<'a> {
    kind: metrics::Kind,
    path: &'a str,
    query: &'a str,
    patience: Duration,
    limit: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            origins: Vec::new(),
            parents: Vec::new(),
            hedge_ms: 250,
            ca: std::path::PathBuf::new(),
            connect_timeout_ms: 3000,
            answer_timeout: 5,
            hold_timeout: 20,
            idle_timeout: 10,
        }
    }
}

impl Config {
    /// The client's share.
    pub fn client(&self) -> client::Config {
        client::Config {
            ca: self.ca.clone(),
            connect_timeout_ms: self.connect_timeout_ms,
            ..client::Config::default()
        }
    }
}

impl Upstream {
    /// A way to the origins that the control plane and the configuration name. `via` is this edge's part of `Via`.
    pub fn new(config: Config, nodes: Nodes, via: HeaderValue, metrics: metrics::Upstream) -> Result<Self> {
        let Nodes { fleet, pass } = nodes;
        let snapshot = fleet.snapshots();
        let client = FleetHttp::new(fleet, &config.client(), metrics.connections.clone())?;
        let (learned, breakers, budget) = Default::default();
        let searches = Limiter::new(MAX_SEARCHES);
        let parents = config.parents.iter().map(|url| Parent::new(std::slice::from_ref(url)));
        let tier = ArcSwap::from_pointee(Tier::new(parents));
        Ok(Self { client, config, snapshot, tier, learned, breakers, budget, searches, via, pass, metrics })
    }

    /// Asks for a resource that can be cached. A channel that is not known anywhere is looked for at all origins
    /// when its multivariant playlist, manifest or poster is asked for; the others are asked for after it.
    pub async fn open(&self, resource: Resource<'_>, path: &str) -> Result<Opened> {
        let question = self.question(resource, path);
        self.budget.deposit();
        let above = match self.shielded(question).await {
            Above::Answer(answer) => return answer,
            Above::None(error) => error,
        };
        if let Resource::Multivariant { channel }
        | Resource::Manifest { channel }
        | Resource::Poster { channel } = resource
        {
            return self.find(channel, question, above).await;
        }
        let parent = self.parent(resource.channel()).ok_or(above.unwrap_or(Error::NotFound))?;
        match self.ask(&parent, question).await {
            Err(error) if is_worth_another(&error) && self.budget.withdraw() => {
                self.metrics.retries.inc();
                self.ask(&parent, question).await
            }
            answer => answer,
        }
    }

    /// Asks for a media playlist, which may be held for `patience`. Not retried.
    pub async fn playlist(
        &self,
        channel: &str,
        path: &str,
        directives: &Directives,
        patience: Duration,
    ) -> Result<Opened> {
        let query = directives.canonical();
        let blocking = directives.wait_for.is_some();
        let kind = if blocking { metrics::Kind::BlockingPlaylist } else { metrics::Kind::Playlist };
        let question = Question { kind, path, query: &query, patience, limit: MAX_PLAYLIST };
        let above = match self.shielded(question).await {
            Above::Answer(answer) => return answer,
            Above::None(error) => error,
        };
        let parent = self.parent(channel).ok_or(above.unwrap_or(Error::NotFound))?;
        self.ask(&parent, question).await
    }

    /// What the control plane says, as it changes.
    pub fn snapshots(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.snapshot.clone()
    }

    /// Where the control plane says that a channel is live.
    pub fn live_at(&self, channel: &str) -> Option<Parent> {
        route::live_at(&self.snapshot.borrow(), channel)
    }

    /// True when it is known whom to ask for the channel.
    pub fn knows(&self, channel: &str) -> bool {
        !self.tier.load().is_empty() || self.parent(channel).is_some()
    }

    fn parent(&self, channel: &str) -> Option<Parent> {
        let snapshot = self.snapshot.borrow();
        let known = self.learned.get(&snapshot, channel).or_else(|| route::live_at(&snapshot, channel));
        // A broadcast that has ended is gone from the snapshot while some still watch its end.
        known.or_else(|| self.learned.recall(channel))
    }

    /// Asks the origin that should have the channel, and when it has not, all the others at once.
    /// `verdict` is that of those who were asked before.
    async fn find(&self, channel: &str, question: Question<'_>, verdict: Option<Error>) -> Result<Opened> {
        let snapshot = Arc::clone(&self.snapshot.borrow());
        let expected = self.learned.get(&snapshot, channel).or_else(|| route::live_at(&snapshot, channel));
        let mut verdict = match &expected {
            Some(parent) => match self.ask(parent, question).await {
                Ok(opened) => {
                    self.learned.insert(&snapshot, channel, parent);
                    return Ok(opened);
                }
                Err(error) => Some(error),
            },
            None => verdict,
        };
        if expected.is_none() && !self.searches.allow(&()) {
            return Err(verdict.unwrap_or(Error::NotFound));
        }
        let mut others = route::origins(&snapshot, &self.config.origins);
        others.retain(|parent| expected.as_ref().is_none_or(|expected| expected.urls != parent.urls));
        if others.is_empty() && verdict.is_none() {
            return Err(Error::NoOrigin);
        }
        let asked = others.iter().map(|parent| async move { (parent, self.ask(parent, question).await) });
        let mut answers: FuturesUnordered<_> = asked.collect();
        while let Some((parent, answer)) = answers.next().await {
            match answer {
                Ok(opened) => {
                    self.learned.insert(&snapshot, channel, parent);
                    return Ok(opened);
                }
                // An origin that cannot say whether it has the channel outweighs those that say no.
                Err(error) if verdict.as_ref().is_none_or(|verdict| !verdict.is_parents()) => {
                    verdict = Some(error)
                }
                Err(_same_verdict) => {}
            }
        }
        Err(verdict.unwrap_or(Error::NotFound))
    }

    /// Asks a parent at its URLs in order, until one answers.
    async fn ask(&self, parent: &Parent, question: Question<'_>) -> Result<Opened> {
        let mut last = Error::NoOrigin;
        for url in parent.urls.iter() {
            match self.ask_url(parent.node.as_ref(), url, question).await {
                // It may have other words for who comes another way.
                Err(error @ Error::Status { status: 421, .. }) => last = error,
                Err(error @ (Error::Connect { .. } | Error::Broken { .. })) => {
                    if !matches!(last, Error::Status { .. }) {
                        last = error;
                    }
                }
                answer => return answer,
            }
        }
        Err(last)
    }

    async fn ask_url(&self, node: Option<&NodeId>, url: &Arc<str>, question: Question<'_>) -> Result<Opened> {
        if !self.breaker(url, |breaker| breaker.admit(Instant::now())) {
            return Err(Error::Broken { origin: Arc::clone(url) });
        }
        let _admitted = Admitted { upstream: self, url };
        let answer = self.send(node, url, question).await;
        self.metrics.count(question.kind, answer.as_ref().map(|_| ()));
        let well = match &answer {
            Ok(_) => true,
            // It answered, though not with what was wanted.
            Err(Error::Status { status, .. }) => matches!(status, 503 | 400..500),
            // Media that does not come says that the publisher pauses, not that the origin is ill.
            Err(Error::Timeout { .. })
                if matches!(question.kind, metrics::Kind::Part | metrics::Kind::Segment) =>
            {
                return answer;
            }
            Err(error) => !error.is_parents(),
        };
        if well {
            self.breaker(url, Breaker::on_success);
        } else if self.breaker(url, |breaker| breaker.on_failure(Instant::now())) {
            tracing::warn!(origin = %url, "an origin failed repeatedly and is left alone for a moment");
        }
        answer
    }

    async fn send(&self, node: Option<&NodeId>, url: &Arc<str>, question: Question<'_>) -> Result<Opened> {
        let origin = || Arc::clone(url);
        let mark = if question.query.is_empty() { "" } else { "?" };
        let mut request = Request::get(format!("{url}{}{mark}{}", question.path, question.query))
            .header(USER_AGENT, AGENT)
            .header(VIA, &self.via)
            .body(Body::empty())
            .map_err(|error| Error::Connect { origin: origin(), source: Arc::new(error) })?;
        if let Some(pass) = self.pass.as_ref().filter(|_| self.tier.load().has(url)) {
            pass.add_to(request.headers_mut());
        }
        let answer = tokio::time::timeout(question.patience, self.client.request(node, request)).await;
        let answer = answer.map_err(|_| Error::Timeout { origin: origin(), waited: question.patience })?;
        let response = answer.map_err(|error| match error.is_connect() {
            true => Error::Connect { origin: origin(), source: Arc::new(error) },
            false => Error::BrokeOff { origin: origin(), source: Arc::new(error) },
        })?;
        match response.status() {
            StatusCode::OK => {
                let idle = Duration::from_secs(self.config.idle_timeout);
                let limits = Limits { size: question.limit, idle, bytes: self.metrics.bytes.clone() };
                Opened::new(origin(), response, limits, Instant::now())
            }
            StatusCode::NOT_FOUND | StatusCode::GONE => Err(Error::NotFound),
            status => Err(Error::Status { origin: origin(), status: status.as_u16() }),
        }
    }

    fn question<'a>(&self, resource: Resource<'_>, path: &'a str) -> Question<'a> {
        let (answer, hold) = (self.config.answer_timeout, self.config.hold_timeout);
        let (kind, patience, limit) = match resource {
            Resource::Multivariant { .. } => (metrics::Kind::Multivariant, answer, MAX_PLAYLIST),
            Resource::Manifest { .. } => (metrics::Kind::Manifest, answer, MAX_PLAYLIST),
            Resource::Media { .. } | Resource::IFrames { .. } => {
                (metrics::Kind::Playlist, answer, MAX_PLAYLIST)
            }
            Resource::Init { .. } => (metrics::Kind::Init, answer, MAX_INIT),
            Resource::Segment { .. } => (metrics::Kind::Segment, hold, MAX_SEGMENT),
            Resource::Part { .. } => (metrics::Kind::Part, hold, MAX_PART),
            Resource::Poster { .. } | Resource::Thumb { file: Thumb::Index, .. } => {
                (metrics::Kind::Thumbnail, answer, MAX_PLAYLIST)
            }
            Resource::Thumb { .. } => (metrics::Kind::Thumbnail, answer, MAX_SHEET),
        };
        Question { kind, path, query: "", patience: Duration::from_secs(patience), limit }
    }

    fn breaker<R>(&self, url: &Arc<str>, run: impl FnOnce(&mut Breaker) -> R) -> R {
        let mut breakers = self.breakers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(breaker) = breakers.get_mut(url) {
            return run(breaker);
        }
        if breakers.len() >= MAX_BREAKERS {
            // Origins come and go; those that still fail are found out again.
            breakers.clear();
        }
        run(breakers.entry(Arc::clone(url)).or_default())
    }
}

/// A request that the breaker let through. It may be dropped at any moment, such as by [`Upstream::find`] when another
/// origin was faster, and must not leave the breaker waiting for its verdict.
struct Admitted<'a> {
    upstream: &'a Upstream,
    url: &'a Arc<str>,
}

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        self.upstream.breaker(self.url, |breaker| breaker.on_lost(Instant::now()));
    }
}

/// A fault that may be gone already: not a parent that takes its time or is known to be away.
fn is_worth_another(error: &Error) -> bool {
    match error {
        Error::Connect { .. } | Error::BrokeOff { .. } => true,
        Error::Status { status, .. } => matches!(status, 500 | 502),
        _ => false,
    }
}

/// A second. Channels that begin while the control plane is away are few; a storm of wrong names must not reach the
/// origins.
const MAX_SEARCHES: u32 = 200;
/// Hours of parts would fit.
const MAX_PLAYLIST: u64 = 1 << 20;
const MAX_INIT: u64 = 1 << 20;
/// A second of 256 Mb/s.
const MAX_PART: u64 = 32 << 20;
/// Eight seconds of 128 Mb/s.
const MAX_SEGMENT: u64 = 128 << 20;
/// Many small pictures in one.
const MAX_SHEET: u64 = 4 << 20;
/// Far more URLs than a network has origins.
const MAX_BREAKERS: usize = 1024;

/// What an edge calls itself.
pub(crate) const AGENT: HeaderValue =
    HeaderValue::from_static(concat!("nearcast-edge/", env!("CARGO_PKG_VERSION")));

#[cfg(test)]
mod tests;
