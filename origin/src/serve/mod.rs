//! Media out, over HTTP: playlists that block until they have what was asked for, and bytes that never change.

mod growing;
mod respond;
mod thumbs;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{Extensions, Method};
use nearcast_media::hls::request::{self, Directives, Resolve};
use nearcast_media::package::Snapshot;
use nearcast_media::path::{File, Resource};
use nearcast_service::fleet::{Caller, Fleet};
use nearcast_service::http::{Body, Handler, Request, Response};
use nearcast_service::log::Chain;
use tokio::time::{Instant, timeout_at};

use crate::ingest::forward::Inbound;
use crate::metrics::{RequestLabels, Serve as Metrics};
use crate::package::{Broadcast, Channels, Media};
use growing::Growing;
use respond::Refusal;

/// Answers everything under `/live/`.
#[derive(Debug)]
struct Live {
    channels: Channels,
    metrics: Metrics,
}

/// Everything that an origin answers.
#[derive(Debug)]
pub struct Site {
    live: Live,
    inbound: Inbound,
    fleet: Fleet,
}

impl Site {
    pub fn new(channels: Channels, inbound: Inbound, fleet: Fleet, metrics: Metrics) -> Self {
        Self { live: Live { channels, metrics }, inbound, fleet }
    }

    /// Why whoever asks gets nothing, whatever it is.
    fn refuses(&self, request: &Extensions) -> Option<Refusal> {
        match self.fleet.caller(request) {
            Caller::Dismissed => Some(Refusal::Dismissed),
            Caller::Unknown if self.fleet.is_strict() => Some(Refusal::NoNode),
            Caller::Node | Caller::Unknown => None,
        }
    }
}

impl Handler for Site {
    async fn handle(&self, request: Request) -> Response {
        if let Some(refusal) = self.refuses(request.extensions()) {
            let response = refusal.respond(Duration::ZERO);
            let labels = RequestLabels { kind: "other", status: response.status().as_u16() };
            self.live.metrics.requests.get_or_create(&labels).inc();
            return response;
        }
        match Inbound::is_for(request.uri().path()) {
            true => self.inbound.answer(request).await,
            false => self.live.handle(request).await,
        }
    }
}

impl Live {
    async fn handle(&self, request: Request) -> Response {
        let (parts, _body) = request.into_parts();
        let resource = Resource::parse(parts.uri.path());
        let kind = resource.as_ref().map_or("other", kind);
        let response = match (&parts.method, resource) {
            (&Method::OPTIONS, _) => respond::preflight(),
            (&(Method::GET | Method::HEAD), Ok(resource)) => self.answer(&resource, &parts).await,
            (&(Method::GET | Method::HEAD), Err(why)) => Refusal::NoRoute(why).respond(FAILURE_LIFE),
            _ => Refusal::Method.respond(FAILURE_LIFE),
        };
        let labels = RequestLabels { kind, status: response.status().as_u16() };
        self.metrics.requests.get_or_create(&labels).inc();
        response
    }

    async fn answer(&self, resource: &Resource<'_>, request: &Parts) -> Response {
        let channel = resource.channel();
        if let Some(answer) = self.thumbs(resource) {
            return answer;
        }
        let Some((broadcast, rendition, file)) = resource.within() else {
            return match self.channels.current(channel) {
                Some(broadcast) => match resource {
                    Resource::Manifest { .. } => self.manifest(&broadcast).await,
                    _ => self.multivariant(&broadcast).await,
                },
                None => Refusal::NotLive.respond(FAILURE_LIFE),
            };
        };
        let Some(broadcast) = self.channels.broadcast(channel, broadcast) else {
            return Refusal::NoBroadcast.respond(FAILURE_LIFE);
        };
        // A rung is made while somebody asks for it.
        let _watching = broadcast.watch(rendition);
        match file {
            File::Media | File::IFrames => {
                let look = || broadcast.playlist(rendition, file);
                self.playlist(&broadcast, look, request.uri.query()).await
            }
            File::Segment { msn } if broadcast.existing(rendition, file).is_none() => {
                match self.segment(broadcast, rendition, msn).await {
                    Ok(growing) => respond::immutable(rendition, growing.body()),
                    Err(refusal) => refusal.respond(FAILURE_LIFE),
                }
            }
            File::Init { .. } | File::Segment { .. } | File::Part { .. } => {
                match self.media(&broadcast, rendition, file).await {
                    Ok(chunks) => respond::immutable(rendition, Body::chunks(chunks)),
                    Err(refusal) => refusal.respond(FAILURE_LIFE),
                }
            }
        }
    }

    async fn multivariant(&self, broadcast: &Broadcast) -> Response {
        match self.wait(broadcast, || look(broadcast.multivariant(), Refusal::NotLive)).await {
            Ok(text) => respond::playlist(text.into(), life(&Directives::default(), broadcast, true)),
            Err(refusal) => refusal.respond(FAILURE_LIFE),
        }
    }

    /// It may be cached for as long as a playlist that nobody waited for.
    async fn manifest(&self, broadcast: &Broadcast) -> Response {
        match self.wait(broadcast, || look(broadcast.manifest(), Refusal::NotLive)).await {
            Ok(text) => respond::manifest(text.into(), life(&Directives::default(), broadcast, true)),
            Err(refusal) => refusal.respond(FAILURE_LIFE),
        }
    }

    async fn playlist(
        &self,
        broadcast: &Broadcast,
        playlist: impl Fn() -> Media<Arc<Snapshot>>,
        query: Option<&str>,
    ) -> Response {
        let directives = match Directives::parse(query.unwrap_or_default()) {
            Ok(directives) => directives,
            Err(why) => return Refusal::Directives(why).respond(FAILURE_LIFE),
        };
        let answer = self.wait(broadcast, || {
            let snapshot = match look(playlist(), Refusal::NoRendition)? {
                Ok(snapshot) => snapshot,
                Err(refusal) => return Some(Err(refusal)),
            };
            match directives.resolve(&snapshot.playlist) {
                Resolve::Now => Some(Ok(snapshot)),
                Resolve::Wait => None,
                Resolve::BadRequest(why) => Some(Err(Refusal::Directives(why))),
            }
        });
        match answer.await {
            Ok(snapshot) => {
                let text = directives.skip.map_or_else(|| snapshot.text(), |skip| snapshot.delta(skip));
                respond::playlist(text.clone(), life(&directives, broadcast, true))
            }
            Err(refusal) => refusal.respond(life(&directives, broadcast, false)),
        }
    }

    /// The bytes of a file: at once, or when it is complete, if it is the next to come (§6.2.6).
    async fn media(&self, broadcast: &Broadcast, rendition: &str, file: File) -> Result<Vec<Bytes>, Refusal> {
        let stored =
            self.wait(broadcast, || look(broadcast.bytes(rendition, file), Refusal::NoMedia)).await?;
        stored.read().await.map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Refusal::NoMedia,
            _ => {
                tracing::warn!(broadcast = %broadcast.id(), rendition, %file, "cannot read a segment: {}", Chain(&error));
                Refusal::Disk
            }
        })
    }

    /// A segment, whole or as far as it has come: from its first part on it is sent as it grows.
    async fn segment(
        &self,
        broadcast: Arc<Broadcast>,
        rendition: &str,
        msn: u64,
    ) -> Result<Growing, Refusal> {
        let changes = broadcast.changes();
        let there = || look(broadcast.segment(rendition, msn, 0), Refusal::NoMedia);
        let progress = self.wait(&broadcast, there).await?;
        let patience = request::hold_limit(broadcast.target_duration());
        Ok(Growing::new(broadcast, changes, rendition, msn, progress, patience))
    }

    /// Looks again after each change of the broadcast, for three target durations at most (§6.2.5.2).
    async fn wait<T>(
        &self,
        broadcast: &Broadcast,
        look: impl Fn() -> Option<Result<T, Refusal>>,
    ) -> Result<T, Refusal> {
        // Subscribed before the first look, so that no change falls between.
        let mut changes = broadcast.changes();
        if let Some(found) = look() {
            return found;
        }
        let limit = match broadcast.target_duration() {
            0 => START,
            target => request::hold_limit(target),
        };
        let deadline = Instant::now() + limit;
        let _blocked = Blocked::new(&self.metrics);
        while let Ok(Ok(())) = timeout_at(deadline, changes.changed()).await {
            if let Some(found) = look() {
                return found;
            }
        }
        Err(Refusal::TooLate)
    }
}

/// Something to answer, or nothing yet.
fn look<T>(media: Media<T>, unknown: Refusal) -> Option<Result<T, Refusal>> {
    match media {
        Media::Ready(found) => Some(Ok(found)),
        Media::Expected => None,
        Media::Moved => Some(Err(Refusal::Moved)),
        Media::Unknown => Some(Err(unknown)),
    }
}

/// How long an answer may be cached (RFC 8216bis appendix B.1).
fn life(directives: &Directives, broadcast: &Broadcast, success: bool) -> Duration {
    Duration::from_millis(directives.max_age_ms(broadcast.target_duration(), success))
}

/// Counts a request as blocked for as long as it lives, answered or abandoned.
struct Blocked<'a>(&'a Metrics);

impl<'a> Blocked<'a> {
    fn new(metrics: &'a Metrics) -> Self {
        metrics.blocked.inc();
        Self(metrics)
    }
}

impl Drop for Blocked<'_> {
    fn drop(&mut self) {
        self.0.blocked.dec();
    }
}

fn kind(resource: &Resource<'_>) -> &'static str {
    match resource {
        Resource::Multivariant { .. } => "multivariant",
        Resource::Manifest { .. } => "manifest",
        Resource::Media { .. } => "media",
        Resource::IFrames { .. } => "iframes",
        Resource::Init { .. } => "init",
        Resource::Segment { .. } => "segment",
        Resource::Part { .. } => "part",
        Resource::Poster { .. } | Resource::Thumb { .. } => "thumbnail",
    }
}

/// A 404 may turn into a broadcast at any moment; this is one target duration at the least.
const FAILURE_LIFE: Duration = Duration::from_secs(1);

/// For the first segment of a broadcast to be measured.
const START: Duration = Duration::from_secs(8);
