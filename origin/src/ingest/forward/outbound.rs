//! The sending side: a publisher's frames as the body of a request, and what is answered meanwhile.

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, stream};
use http::header::AUTHORIZATION;
use http::{HeaderValue, Request as HttpRequest, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use nearcast_api::{ChannelId, NodeId, Problem};
use nearcast_media::Piece;
use nearcast_service::fleet::Revoked;
use nearcast_service::http::{Body, read_limited};
use nearcast_service::log::Chain;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::wire::{Reply, Request};
use super::{Forwarder, inbound};
use crate::package::{Air, Feed, Input, QUEUE_FRAMES, Word};
use crate::transcode::wire;

/// Why frames cannot be passed on.
pub(super) enum Failure {
    /// The origin is well, but does not take the publisher.
    Refused(String),
    /// It cannot be reached, or does not have the channel.
    Unreachable(String),
}

/// The connection to the other origin has been quiet for too long.
#[derive(Debug, thiserror::Error)]
#[error("the other origin is not heard any more")]
struct Silent;

impl Forwarder {
    /// Opens the way to an origin at one of these URLs.
    pub(super) async fn open(
        &self,
        channel: &ChannelId,
        key: &str,
        origin: &NodeId,
        urls: &[String],
    ) -> Result<Feed, Failure> {
        let mut failure = Failure::Unreachable("it has no URL: set node.urls there".into());
        for url in urls {
            match self.open_at(channel, key, origin, url).await {
                Err(Failure::Unreachable(why)) => failure = Failure::Unreachable(format!("{url}: {why}")),
                answer => return answer,
            }
        }
        Err(failure)
    }

    async fn open_at(
        &self,
        channel: &ChannelId,
        key: &str,
        origin: &NodeId,
        url: &str,
    ) -> Result<Feed, Failure> {
        let unreachable = |why: String| Failure::Unreachable(why);
        let (queue, inputs) = mpsc::channel(QUEUE_FRAMES);
        let (alive, lost) = oneshot::channel();
        let mut bearer = HeaderValue::try_from(format!("Bearer {key}"))
            .map_err(|_| unreachable("the stream key has characters that no header takes".into()))?;
        bearer.set_sensitive(true);
        let request = HttpRequest::post(format!("{}{}", url.trim_end_matches('/'), inbound::path(channel)))
            .header(AUTHORIZATION, bearer)
            .body(Body::stream(body(inputs, lost)))
            .map_err(|error| unreachable(error.to_string()))?;
        let revoked = self.0.control.fleet().revoked(origin);
        let answer = timeout(PATIENCE, self.0.http.request(Some(origin), request)).await;
        let answer = answer.map_err(|_| unreachable("it does not answer".into()))?;
        let response = answer.map_err(|error| unreachable(Chain(&error).to_string()))?;
        if response.status() != StatusCode::OK {
            return Err(failure(response).await);
        }
        let (air, word) = (Air::default(), Word::default());
        let listener = Listener {
            forwarder: self.clone(),
            channel: channel.clone(),
            revoked,
            air: air.clone(),
            word: word.clone(),
            _alive: alive,
        };
        self.0.drain.spawn("forwarded publisher", listener.run(response.into_body()));
        Ok(Feed::new(queue, air, Some(word)))
    }
}

/// What the publisher sends, until it goes or `lost` says that nobody listens.
fn body(
    inputs: mpsc::Receiver<Input>,
    lost: oneshot::Receiver<()>,
) -> impl stream::Stream<Item = Result<Bytes, Silent>> {
    stream::unfold(Some((inputs, lost)), |state| async {
        let (mut inputs, mut lost) = state?;
        let input = tokio::select! {
            biased;
            _ = &mut lost => return Some((Err(Silent), None)),
            input = inputs.recv() => input?,
        };
        let mut message = BytesMut::new();
        match input {
            Input::Config(config) => Request::Config(config).encode(&mut message),
            Input::Frame(_, frame) | Input::Further(_, Piece::Frame(frame))
                if frame.data.len() > wire::MAX_FRAME as usize =>
            {
                let bytes = frame.data.len();
                tracing::warn!(
                    bytes,
                    "a frame is too large to be passed on to another origin, and is left out"
                );
            }
            Input::Frame(track, frame) => Request::Frame(track, frame).encode(&mut message),
            Input::Further(track, piece) => Request::Further(track, piece).encode(&mut message),
            Input::Stop => Request::Stop.encode(&mut message),
        }
        Some((Ok(message.freeze()), Some((inputs, lost))))
    })
    .filter(|message| std::future::ready(message.as_ref().map_or(true, |message| !message.is_empty())))
}

/// Hears what the other origin says; when it ends, so does the feed.
struct Listener {
    forwarder: Forwarder,
    channel: ChannelId,
    /// The other origin's at the beginning.
    revoked: Revoked,
    air: Air,
    word: Word,
    _alive: oneshot::Sender<()>,
}

impl Listener {
    async fn run(self, mut body: Incoming) {
        let Self { forwarder, channel, revoked, air, word, .. } = &self;
        forwarder.0.forwarded.inc();
        let mut stream = BytesMut::new();
        let mut goes_on = true;
        while goes_on {
            // Silence, a broken line and an end without a word are all the same: the origin is lost.
            let Ok(Some(Ok(frame))) = timeout(SILENCE, body.frame()).await else { break };
            if forwarder.0.control.fleet().was_sent_away(revoked) {
                break;
            }
            stream.extend_from_slice(&frame.into_data().unwrap_or_default());
            while goes_on && let Ok(Some(message)) = wire::split(&mut stream) {
                match Reply::decode(message) {
                    Ok(Reply::Air(on)) => air.set(on),
                    Ok(Reply::Handover(handover)) => {
                        word.heard().handover = Some((handover, Instant::now()));
                    }
                    Ok(Reply::Refused(words)) => {
                        word.heard().refusal = Some(words);
                        goes_on = false;
                    }
                    Ok(Reply::Over) => {
                        word.heard().handover = None;
                        goes_on = false;
                    }
                    Ok(Reply::Leaving) | Err(_) => goes_on = false,
                }
            }
        }
        air.set(false);
        tracing::info!(%channel, "a publisher's frames go to another origin no more");
        forwarder.0.forwarded.dec();
    }
}

/// What an answer that is no success says.
async fn failure(response: Response<Incoming>) -> Failure {
    let status = response.status();
    let body = read_limited(response.into_body(), MAX_PROBLEM).await.unwrap_or_default();
    let detail = serde_json::from_slice::<Problem>(&body).map(|problem| problem.detail);
    let words = detail.unwrap_or_else(|_| format!("it answers {status}"));
    match status {
        // Both know the channel; one of them knows the newer truth of its keys.
        StatusCode::CONFLICT | StatusCode::FORBIDDEN => Failure::Refused(words),
        _ => Failure::Unreachable(words),
    }
}

/// For the headers of the answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// Six words that did not come.
const SILENCE: Duration = Duration::from_secs(3);
const MAX_PROBLEM: usize = 64 << 10;
