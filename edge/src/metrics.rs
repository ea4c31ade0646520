//! What an edge counts. Each part is handed the struct it needs; a field's doc comment is its help text.

use std::collections::HashMap;
use std::sync::Arc;

use nearcast_service::metrics::{
    Counter, EncodeLabelSet, Family, Gauge, Histogram, Registry, exponential_buckets,
};

use crate::audience::MAX_REPORTED;
use crate::audience::cmcd::Report;
use crate::audience::counters::Now;
use crate::error::Error;

nearcast_service::metrics! {
    /// The cache.
    pub struct Cache: "cache" {
        /// Requests answered from memory.
        pub hits: Counter,
        /// Requests answered from what was lately found missing.
        pub negative_hits: Counter,
        /// Requests that waited for a fetch another request had started.
        pub joins: Counter,
        /// Fetches begun.
        pub fills: Counter,
        /// Fetches that failed.
        pub failed_fills: Counter,
        /// Segments answered from their parts, without a fetch.
        pub assembled_segments: Counter,
        /// Bytes held, overhead included.
        pub bytes: Gauge,
        /// Times the watchdog found more bytes than the budget.
        pub over_budget: Counter,
    }
}

nearcast_service::metrics! {
    /// The second tier.
    pub struct Disk: "disk" {
        /// Bytes held.
        pub bytes: Gauge,
        /// Segments read from it.
        pub hits: Counter,
        /// Bytes written to it.
        pub written: Counter,
        /// Segments not kept, because the disk was too slow.
        pub dropped: Counter,
        /// Files that were torn or changed.
        pub broken: Counter,
    }
}

nearcast_service::metrics! {
    /// The followed renditions.
    pub struct Follow: "follow" {
        /// Renditions being followed.
        pub renditions: Gauge,
        /// Playlist requests that wait for the next part.
        pub blocked_requests: Gauge,
        /// New playlists received.
        pub updates: Counter,
        /// Playlist requests to a parent that failed.
        pub failures: Counter,
    }
}

nearcast_service::metrics! {
    /// The way to the origins.
    pub struct Upstream: "upstream" {
        /// Requests to origins by what was asked for and how it ended.
        pub requests: Family<UpstreamLabels, Counter>,
        /// TCP connections made to origins and parents.
        pub connections: Counter,
        /// Bytes received from origins.
        pub bytes: Counter,
        /// Fetches tried again.
        pub retries: Counter,
        /// Fetches for which a second parent was asked because the first was slow.
        pub hedges: Counter,
    }
}

nearcast_service::metrics! {
    /// Who watches what, and how well.
    pub struct Audience: "audience" {
        /// Players with a request in the last ten seconds, by channel (those with the most) and what they play.
        pub viewers: Family<AudienceLabels, Gauge>,
        /// Requests of players for which there was no room in the table, so that they are not among the viewers.
        pub uncounted: Counter,
        /// Requests that told how the player does (CMCD).
        pub reports: Counter,
        /// Reports of a buffer that had run empty.
        pub starved: Counter,
        /// Seconds buffered, as reported.
        pub buffer_seconds: Histogram = Histogram::new(exponential_buckets(0.25, 2.0, 9)),
        /// Seconds behind the live edge, as reported.
        pub latency_seconds: Histogram = Histogram::new(exponential_buckets(0.5, 1.6, 10)),
        /// Measured throughput in bits per second, as reported.
        pub throughput_bps: Histogram = Histogram::new(exponential_buckets(250_000.0, 2.0, 11)),
    }
}

nearcast_service::metrics! {
    /// Who may not watch.
    pub struct Access: "access" {
        /// Requests refused, by reason.
        pub refused: Family<ReasonLabel, Counter>,
    }
}

nearcast_service::metrics! {
    /// The viewers.
    pub struct Serve: "edge" {
        /// Distinct viewers in the last ten seconds.
        pub viewers: Gauge,
        /// Body bytes of answers, by protocol.
        pub response_bytes: Family<ProtocolLabel, Counter>,
        /// Seconds a playlist request was held before its answer.
        pub held_seconds: Histogram = Histogram::new(exponential_buckets(0.01, 2.0, 11)),
    }
}

nearcast_service::metrics! {
    /// What is served for origins that are not ours.
    pub struct Proxy: "routes" {
        /// Requests by route and how they were answered.
        pub requests: Family<RouteLabels, Counter>,
        /// Requests to origins by route and how they ended.
        pub upstream_requests: Family<RouteLabels, Counter>,
        /// Bytes received from origins.
        pub upstream_bytes: Counter,
        /// Answers that broke off, stalled or were too long while they were read.
        pub broken_answers: Counter,
        /// Requests that wait for an origin's answer to one of them.
        pub waiting_requests: Gauge,
    }
}

nearcast_service::metrics! {
    /// Purges.
    pub struct Purges: "purges" {
        /// Purges carried out.
        pub applied: Counter,
        /// Objects and answers that they took away or made stale.
        pub objects: Counter,
        /// Seconds that the last search of the memory for them took.
        pub seconds: Histogram = Histogram::new(exponential_buckets(0.0001, 4.0, 9)),
    }
}

/// All of an edge's metrics.
#[derive(Debug, Clone)]
pub struct Metrics {
    pub cache: Cache,
    pub disk: Disk,
    pub follow: Follow,
    pub upstream: Upstream,
    pub audience: Audience,
    pub access: Access,
    pub serve: Serve,
    pub proxy: Proxy,
    pub purges: Purges,
}

/// Labels of [`Audience::viewers`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct AudienceLabels {
    pub channel: String,
    pub player: &'static str,
}

/// Labels of [`Access::refused`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ReasonLabel {
    pub reason: &'static str,
}

/// Labels of [`Upstream::requests`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct UpstreamLabels {
    pub kind: &'static str,
    pub result: &'static str,
}

/// Labels of [`Proxy::requests`] and [`Proxy::upstream_requests`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RouteLabels {
    pub route: String,
    pub result: &'static str,
}

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Multivariant,
    Manifest,
    Playlist,
    BlockingPlaylist,
    Init,
    Segment,
    Part,
    Thumbnail,
}

/// Labels of [`Serve::response_bytes`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ProtocolLabel {
    pub protocol: &'static str,
}

impl Metrics {
    /// Adds all of them to the registry.
    pub fn register(registry: &Registry) -> Self {
        Self {
            cache: Cache::register(registry),
            disk: Disk::register(registry),
            follow: Follow::register(registry),
            upstream: Upstream::register(registry),
            audience: Audience::register(registry),
            access: Access::register(registry),
            serve: Serve::register(registry),
            proxy: Proxy::register(registry),
            purges: Purges::register(registry),
        }
    }
}

impl Proxy {
    /// Counts an answered request.
    pub fn count(&self, route: &str, result: &'static str) {
        self.requests.get_or_create(&RouteLabels { route: route.to_owned(), result }).inc();
    }

    /// Counts a request to an origin whose headers have arrived, or will not.
    pub fn count_upstream<T>(&self, route: &str, result: &Result<T, Error>) {
        let result = result.as_ref().map_or_else(outcome, |_| "ok");
        self.upstream_requests.get_or_create(&RouteLabels { route: route.to_owned(), result }).inc();
    }
}

impl Audience {
    /// Shows how many watch each channel now.
    pub fn observe(&self, now: &HashMap<Arc<str>, Now>) {
        // Channels come and go; what is over must not be shown for ever.
        self.viewers.clear();
        let mut busiest: Vec<_> = now.iter().collect();
        busiest.sort_by_key(|(_, now)| std::cmp::Reverse(now.viewers()));
        for (channel, now) in busiest.into_iter().take(MAX_REPORTED) {
            for (player, count) in [("hls", now.hls), ("dash", now.dash), ("other", now.other)] {
                if count > 0 {
                    let labels = AudienceLabels { channel: channel.to_string(), player };
                    self.viewers.get_or_create(&labels).set(count.into());
                }
            }
        }
    }

    /// Counts what a player says.
    pub fn heard(&self, report: &Report) {
        self.reports.inc();
        self.starved.inc_by(report.starved.into());
        let observe = |histogram: &Histogram, value: Option<u32>, unit: f64| {
            if let Some(value) = value {
                histogram.observe(f64::from(value) * unit);
            }
        };
        observe(&self.buffer_seconds, report.buffer_ms, 1e-3);
        observe(&self.latency_seconds, report.latency_ms, 1e-3);
        observe(&self.throughput_bps, report.throughput_kbps, 1e3);
    }
}

impl Access {
    /// Counts a request that was not let in.
    pub fn count(&self, error: &Error) {
        let reason = match error {
            Error::NoToken => "no_token",
            Error::BadToken { .. } => "bad_token",
            Error::Forbidden { .. } => "other_token",
            Error::Country { .. } => "country",
            Error::SentAway => "sent_away",
            Error::Dismissed => "dismissed_node",
            Error::TooManySessions => "sessions",
            Error::TooManyRequests { .. } => "rate",
            _ => "overload",
        };
        self.refused.get_or_create(&ReasonLabel { reason }).inc();
    }
}

impl Upstream {
    /// Counts a request whose headers have arrived, or will not.
    pub fn count(&self, kind: Kind, result: Result<(), &Error>) {
        let result = result.map_or_else(outcome, |()| "ok");
        self.requests.get_or_create(&UpstreamLabels { kind: kind.as_str(), result }).inc();
    }
}

fn outcome(error: &Error) -> &'static str {
    match error {
        Error::NotFound => "not_found",
        Error::Status { .. } => "refused",
        Error::Connect { .. } => "unreachable",
        Error::Timeout { .. } => "timeout",
        _ => "broken",
    }
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Multivariant => "multivariant",
            Self::Manifest => "manifest",
            Self::Playlist => "playlist",
            Self::BlockingPlaylist => "blocking_playlist",
            Self::Init => "init",
            Self::Segment => "segment",
            Self::Part => "part",
            Self::Thumbnail => "thumbnail",
        }
    }
}
