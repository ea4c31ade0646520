//! The receiving side: a publisher of a channel that is live here, whose frames come from another origin.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::stream;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode};
use http_body_util::BodyExt;
use nearcast_api::{ChannelId, Problem};
use nearcast_media::Event;
use nearcast_media::splice::Rank;
use nearcast_service::fleet::Revoked;
use nearcast_service::http::{Body, Peer, Request, RequestBody, Response};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::super::health::Source;
use super::super::publisher::Publisher;
use super::super::{Context, access};
use super::wire;
use super::wire::Reply;
use crate::metrics::{ReasonLabels, TrackLabels};
use crate::package::{Broadcast, Handover};
use crate::transcode::wire::split;

/// Answers `POST /forward/{channel}`.
#[derive(Debug, Clone)]
pub struct Inbound(pub(in crate::ingest) Arc<Context>);

/// Why another origin's publisher is not taken.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("use POST")]
    Method,
    #[error("the stream key does not open this channel")]
    Key,
    #[error("the channel is not live here")]
    NotLive,
    #[error("this origin shuts down")]
    Draining,
    #[error("{0}")]
    Busy(String),
}

/// Where frames for a channel are sent.
pub(super) fn path(channel: &ChannelId) -> String {
    format!("{PREFIX}{channel}")
}

impl Inbound {
    /// Whether a request is for this door.
    pub fn is_for(path: &str) -> bool {
        path.starts_with(PREFIX)
    }

    pub async fn answer(&self, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        let (channel, publisher) = match self.admit(&parts) {
            Ok(admitted) => admitted,
            Err(refusal) => {
                let reason = refusal.reason();
                self.0.metrics.refused.get_or_create(&ReasonLabels { reason }).inc();
                tracing::debug!(
                    path = parts.uri.path(),
                    reason,
                    "another origin's publisher is refused: {refusal}"
                );
                return refusal.respond();
            }
        };
        let (replies, answers) = mpsc::channel(MAX_REPLIES);
        let context = Arc::clone(&self.0);
        let fleet = context.control.fleet();
        let revoked = fleet.node(&parts.extensions).map(|origin| fleet.revoked(&origin));
        let line = Line { context: Arc::clone(&context), channel, revoked, publisher, replies };
        self.0.drain.spawn("publisher of another origin", line.run(body));
        let answers = stream::unfold(answers, |mut answers| async { Some((answers.recv().await?, answers)) });
        Response::new(Body::stream(answers))
    }

    fn admit(&self, request: &Parts) -> Result<(ChannelId, Publisher), Refusal> {
        let context = &self.0;
        if request.method != Method::POST {
            return Err(Refusal::Method);
        }
        let bearer = request.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let key = bearer.and_then(|value| value.strip_prefix("Bearer ")).ok_or(Refusal::Key)?;
        let snapshot = context.control.current();
        let wanted = request.uri.path().strip_prefix(PREFIX);
        let pass = access::open(&snapshot, key)
            .ok()
            .filter(|pass| Some(pass.channel.as_str()) == wanted)
            .ok_or(Refusal::Key)?;
        let (channel, rank) = (pass.channel.clone(), pass.rank);
        if context.drain.is_draining() {
            return Err(Refusal::Draining);
        }
        // It has been asked for the broadcast that others know of, not for one of its own.
        if !context.channels.has(&channel) {
            return Err(Refusal::NotLive);
        }
        let quiet = context.quiet(&snapshot, &channel);
        let claim = context.channels.claim(&channel, rank, quiet);
        let claim = claim.map_err(|busy| {
            context.board.refused(&channel, "busy", &busy.to_string());
            Refusal::Busy(busy.to_string())
        })?;
        tracing::info!(%channel, ?rank, "a publisher of another origin begins");
        let backup = rank == Rank::Backup;
        let ipv6 = request.extensions.get::<Peer>().is_some_and(|peer| peer.address.is_ipv6());
        let source = Source { protocol: "forwarded", encoder: String::new(), ipv6, backup };
        Ok((channel, context.publisher(pass, claim, source)))
    }
}

/// One publisher of another origin.
struct Line {
    context: Arc<Context>,
    channel: ChannelId,
    /// The other origin's at the beginning; none of one that has not shown who it is.
    revoked: Option<Revoked>,
    publisher: Publisher,
    replies: mpsc::Sender<Result<Bytes, std::convert::Infallible>>,
}

impl Line {
    async fn run(mut self, body: RequestBody) {
        let context = Arc::clone(&self.context);
        let ended = context.drain.unless_draining(self.converse(body)).await;
        let (last, stops) = match ended {
            Some(End::Stopped) => (None, true),
            Some(End::Gone) => (None, false),
            Some(End::Refused(reason, words)) => {
                context.metrics.refused.get_or_create(&ReasonLabels { reason }).inc();
                self.publisher.probe().refused(reason, &words);
                (Some(Reply::Refused(words)), false)
            }
            Some(End::Over) => (Some(Reply::Over), false),
            None => {
                self.hand_over().await;
                (Some(Reply::Leaving), false)
            }
        };
        tracing::info!(channel = %self.channel, ?last, "a publisher of another origin has gone");
        if let Some(last) = last {
            let _gone = self.tell(&last);
        }
        if stops {
            self.publisher.stop().await;
        }
    }

    /// Leaves the broadcast to the other origin: nothing comes after the position that is told.
    async fn hand_over(&self) {
        let Some(broadcast) = self.broadcast() else { return };
        let mut changes = broadcast.changes();
        self.context.channels.leave(&self.channel, true);
        let left = changes.wait_for(|_| broadcast.is_over());
        let _others_have = timeout(LEAVE, left).await;
        let _gone = self.tell_of(broadcast.handover());
    }

    async fn converse(&mut self, mut body: RequestBody) -> End {
        let mut stream = BytesMut::new();
        let mut ticks = interval(WORD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let idle = self.context.config.idle_timeout();
        let mut deadline = Instant::now() + idle;
        let mut changes = self.broadcast().map(|broadcast| broadcast.changes());
        let mut told = None;
        loop {
            tokio::select! {
                () = changed(&mut changes) => {
                    // At once when a segment begins: should this origin be lost now, its number is taken.
                    let handover = self.handover();
                    let msn = handover.as_ref().map(|handover| handover.position.msn);
                    if std::mem::replace(&mut told, msn) != msn && !self.tell_of(handover) {
                        return End::Gone;
                    }
                }
                read = body.frame() => {
                    let Some(Ok(frame)) = read else { return End::Gone };
                    deadline = Instant::now() + idle;
                    let data = frame.into_data().unwrap_or_default();
                    self.context.metrics.received_bytes.inc_by(data.len() as u64);
                    match self.publisher.received(data.len()) {
                        Ok(pause) if pause.is_zero() => {}
                        // As for every publisher above its bitrate: TCP then holds its origin up.
                        Ok(pause) => tokio::time::sleep(pause).await,
                        Err(breach) => return End::Refused(breach.reason, breach.to_string()),
                    }
                    stream.extend_from_slice(&data);
                    while let Some(message) = split(&mut stream).transpose() {
                        let Ok(request) = message.and_then(wire::Request::decode) else {
                            let reason = ReasonLabels { reason: "protocol" };
                            self.context.metrics.failed.get_or_create(&reason).inc();
                            return End::Gone;
                        };
                        if let Some(end) = self.take(request).await {
                            return end;
                        }
                    }
                }
                () = self.publisher.taken() => {
                    let words = "another publisher with the key has come: stop one of the two".to_owned();
                    return End::Refused("taken_over", words);
                }
                breach = self.publisher.denied() => return End::Refused(breach.reason, breach.to_string()),
                _ = ticks.tick() => {
                    let fleet = self.context.control.fleet();
                    if self.revoked.as_ref().is_some_and(|revoked| fleet.was_sent_away(revoked)) {
                        return End::Gone;
                    }
                    if !self.context.channels.has(&self.channel) {
                        return End::Over;
                    }
                    let heard = self.tell(&Reply::Air(self.publisher.is_on_air())) && self.tell_of(self.handover());
                    if !heard || Instant::now() >= deadline {
                        return End::Gone;
                    }
                }
            }
        }
    }

    async fn take(&mut self, request: wire::Request) -> Option<End> {
        // It has been asked for the broadcast that others know of: it begins none, and passes nothing on.
        if !self.context.channels.has(&self.channel) {
            return Some(End::Over);
        }
        let event = match request {
            wire::Request::Config(config) => Event::Config(config),
            wire::Request::Frame(track, frame) => {
                self.context.metrics.frames.get_or_create(&TrackLabels::of(track)).inc();
                Event::Frame(track, frame)
            }
            wire::Request::Further(track, piece) => Event::Further(track, piece),
            wire::Request::Stop => return Some(End::Stopped),
        };
        let taken = self.publisher.take(event).await;
        taken.err().map(|breach| End::Refused(breach.reason, breach.to_string()))
    }

    fn broadcast(&self) -> Option<Arc<Broadcast>> {
        let current = self.context.channels.current(self.channel.as_str());
        current.filter(|broadcast| !broadcast.is_over())
    }

    fn handover(&self) -> Option<Handover> {
        self.broadcast()?.handover()
    }

    fn tell_of(&self, handover: Option<Handover>) -> bool {
        handover.is_none_or(|handover| self.tell(&Reply::Handover(handover)))
    }

    /// False when the other origin does not listen.
    fn tell(&self, reply: &Reply) -> bool {
        let mut message = BytesMut::new();
        reply.encode(&mut message);
        self.replies.try_send(Ok(message.freeze())).is_ok()
    }
}

/// Completes when there is something new of the broadcast.
async fn changed(changes: &mut Option<watch::Receiver<u64>>) {
    if let Some(news) = changes
        && news.changed().await.is_ok()
    {
        return;
    }
    *changes = None;
    std::future::pending().await
}

/// Why a publisher of another origin is one no more.
enum End {
    Stopped,
    Gone,
    Refused(&'static str, String),
    Over,
}

impl Refusal {
    fn reason(&self) -> &'static str {
        match self {
            Self::Method => "method",
            Self::Key => "unknown_key",
            Self::NotLive => "not_live",
            Self::Draining => "draining",
            Self::Busy(_) => "busy",
        }
    }

    fn respond(&self) -> Response {
        let status = match self {
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Key => StatusCode::FORBIDDEN,
            Self::NotLive => StatusCode::NOT_FOUND,
            Self::Draining => StatusCode::SERVICE_UNAVAILABLE,
            Self::Busy(_) => StatusCode::CONFLICT,
        };
        let problem = Problem {
            status: status.as_u16(),
            title: status.canonical_reason().unwrap_or("Error").to_owned(),
            detail: self.to_string(),
        };
        // Three fields of text and number always become JSON.
        let mut response = Response::new(serde_json::to_vec(&problem).unwrap_or_default().into());
        *response.status_mut() = status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(Problem::CONTENT_TYPE));
        response
    }
}

const PREFIX: &str = "/forward/";
/// How often the other origin is told where the broadcast stands.
const WORD: Duration = Duration::from_millis(500);
/// What waits while the other origin does not read: four seconds' worth.
const MAX_REPLIES: usize = 16;
/// For the task of a broadcast to hear that it ends here.
const LEAVE: Duration = Duration::from_secs(1);
