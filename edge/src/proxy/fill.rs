//! One question to an origin for everybody who waits for its answer, and how they are told.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method, StatusCode};
use tokio::sync::oneshot;

use super::answer::{Answer, Delivery};
use super::conditional::{is_about, validators};
use super::form::Arriving;
use super::policy::{State, Times, Verdict};
use super::room::Reservation;
use super::route::{Question, Route};
use super::stored::{Head, Stored};
use super::{Own, Proxy, keeping};
use crate::cache::flight::Permit;
use crate::cache::growing::Growing;
use crate::cache::object::Object;
use crate::error::{Error, Result};

/// What is asked of an origin.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) route: Arc<Route>,
    /// Where the answer is kept.
    pub(super) name: String,
    pub(super) path_and_query: String,
    /// As the origin gets them, without what makes a request conditional.
    pub(super) headers: HeaderMap,
    /// How many purges there had been when the viewer asked.
    pub(super) began: u64,
}

/// A running question. Dropped before its end it hands its permit to one waiter.
#[derive(Debug)]
pub(super) struct Fill {
    proxy: Arc<Proxy>,
    permit: Option<Permit>,
    pub(super) ask: Arc<Ask>,
    old: Option<Arc<Stored>>,
    /// The waiter whose request this is; what is somebody's own is theirs.
    pub(super) of: u64,
}

/// Somebody who waits.
#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) id: u64,
    pub(super) tell: oneshot::Sender<Outcome>,
}

/// What a waiter is told.
#[derive(Debug)]
pub(super) enum Outcome {
    Whole(Arc<Stored>, How),
    Arriving(Arc<Arriving>),
    /// The answer to this waiter's own request, which nobody else may have.
    Own(Box<Answer>),
    /// The answer is somebody else's: ask alone.
    Alone,
    Failed(Error),
    /// The question was dropped: ask it anew.
    Elected(Fill),
}

/// How a whole answer was come by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    Fetched(u16),
    /// The origin failed, and this is what was there before.
    Stale(Option<u16>),
}

impl Fill {
    pub(super) fn new(
        proxy: &Arc<Proxy>,
        permit: Permit,
        ask: Arc<Ask>,
        old: Option<Arc<Stored>>,
        of: u64,
    ) -> Self {
        Self { proxy: Arc::clone(proxy), permit: Some(permit), ask, old, of }
    }

    /// Its place among the flights.
    pub(super) fn key(&self) -> Arc<str> {
        self.permit.as_ref().map_or_else(|| "".into(), |permit| Arc::clone(permit.key()))
    }

    /// Asks, keeps and tells.
    pub(super) async fn run(mut self) {
        let old = self.old.take();
        let mut headers = self.ask.headers.clone();
        if let Some(old) = &old {
            headers.extend(validators(&old.head.headers));
        }
        let Ask { route, path_and_query, .. } = &*self.ask;
        let via = self.proxy.form.via();
        let question = Question { method: &Method::GET, path_and_query, headers, via };
        let answer = route.ask(&question, &self.proxy.metrics).await;
        let status = answer.as_ref().ok().map(|answer| answer.head.status);
        // RFC 5861 §4 lists these.
        let failed = status.is_none_or(|status| matches!(status.as_u16(), 500 | 502..=504));
        let spare = old.as_ref().filter(|old| serves_on_error(old));
        match (answer, spare) {
            (_, Some(spare)) if failed => self.fall_back(spare, status),
            (Err(error), _) => self.fail(&error),
            (Ok(answer), _) => self.take(answer, old).await,
        }
    }

    async fn take(&mut self, answer: Answer, old: Option<Arc<Stored>>) {
        let status = answer.head.status;
        let refused = Error::Status { origin: Arc::clone(&answer.body.origin), status: status.as_u16() };
        match (status, old) {
            (StatusCode::NOT_MODIFIED, Some(old)) if is_about(&old.head.headers, &answer.head.headers) => {
                self.freshen(answer, &old);
            }
            // Nothing was asked that these would be an answer to.
            (StatusCode::NOT_MODIFIED, Some(old)) => {
                self.proxy.store.forget(&old);
                self.fail(&refused);
            }
            (StatusCode::NOT_MODIFIED | StatusCode::PARTIAL_CONTENT, _) => self.fail(&refused),
            (_, old) => self.judge(answer, old).await,
        }
    }

    async fn judge(&mut self, answer: Answer, old: Option<Arc<Stored>>) {
        let route = Arc::clone(&self.ask.route);
        let verdict = Verdict::of(&answer.head, &self.ask.headers, answer.times, route.config.defaults());
        let limit = route.config.max_object.0;
        let fits = answer.body.bounded && answer.body.length.is_none_or(|length| length <= limit);
        let shared = verdict.is_shared();
        let Some(vary) = verdict.vary.filter(|_| fits) else {
            return self.hand_out(answer, Some(if fits { Own::Asker } else { Own::Large }));
        };
        let Proxy { room, store, .. } = &*self.proxy;
        let reserve = || room.reserve(answer.body.length.unwrap_or(0));
        // What the cache has too much of goes in passing, or now.
        let settled = || {
            store.settle();
            reserve()
        };
        let room = reserve().or_else(|| (0..3).find_map(|_| settled()));
        let Some(room) = room.map(Arc::new) else { return self.hand_out(answer, None) };
        let Answer { head, body, times: Times { wall, .. } } = answer;
        let status = head.status.as_u16();
        let head = Arc::new(keeping::head(&self.ask, &head, vary, verdict.freshness, wall));
        let spare = old.filter(|old| serves_on_error(old));
        // Little is sent when it is all here, so that a cut answer is an error and no half answer; more, when there is
        // something to send instead.
        let whole = if spare.is_some() { MAX_COLLECTED_WITH_SPARE } else { MAX_COLLECTED };
        let mut arriving = Growth { body, room, got: 0, limit };
        let mut chunks = Vec::new();
        if spare.is_some() || arriving.body.length.is_some_and(|length| length <= whole) {
            let time = Duration::from_secs(route.config.body_timeout);
            let origin = Arc::clone(&arriving.body.origin);
            let collected = tokio::time::timeout(time, arriving.collect(whole, &mut chunks)).await;
            let late = |_| Err(Error::Timeout { origin, waited: time });
            match (collected.unwrap_or_else(late), spare) {
                (Ok(true), _) => {
                    let stored =
                        self.proxy.keep(&head, self.proxy.room.count(chunks.concat().into()), self.ask.began);
                    return self.settle(&stored, How::Fetched(status), shared);
                }
                (Ok(false), _) => {}
                (Err(_), Some(spare)) => return self.fall_back(&spare, None),
                (Err(error), None) => return self.fail(&error),
            }
        }
        self.stream(head, arriving, chunks, shared).await;
    }

    /// Lets an answer be read while it arrives, and keeps it if it arrives whole.
    async fn stream(&mut self, head: Arc<Head>, mut from: Growth, chunks: Vec<Bytes>, shared: bool) {
        let content_type = head.headers.get(CONTENT_TYPE).cloned().unwrap_or(HeaderValue::from_static(""));
        let growing = Growing::new(from.body.length, content_type.clone(), head.freshness.received);
        // Whoever reads slowly holds all of it, until it is whole and counted as such.
        let growing = Arc::new(growing.holding(Arc::clone(&from.room)));
        let arriving = Arc::new(Arriving { head: Arc::clone(&head), body: Arc::clone(&growing) });
        if shared {
            if let Some(permit) = &self.permit {
                let waiters = self.proxy.flights().open(permit, Arc::clone(&arriving));
                waiters.into_iter().for_each(|waiter| tell(waiter, Outcome::Arriving(Arc::clone(&arriving))));
            }
        } else {
            self.proxy.pass_from_now_on(&self.ask, Own::Asker);
            self.each(|fill, waiter| match waiter.id == fill.of {
                true => Outcome::Arriving(Arc::clone(&arriving)),
                false => Outcome::Alone,
            });
        }
        let guard = Unfinished(&growing);
        let origin = Arc::clone(&from.body.origin);
        let time = Duration::from_secs(self.ask.route.config.body_timeout);
        let grow = async {
            chunks.into_iter().for_each(|chunk| growing.push(chunk));
            while let Some(chunk) = from.chunk().await? {
                growing.push(chunk);
            }
            Ok(self.proxy.room.count(growing.joined()))
        };
        let late = |_| Err(Error::Timeout { origin, waited: time });
        let end: Result<Bytes> = tokio::time::timeout(time, grow).await.unwrap_or_else(late);
        // The next one gets all of it, as it comes.
        match &end {
            Err(Error::TooLarge { .. }) => self.proxy.pass_from_now_on(&self.ask, Own::Large),
            Err(Error::Timeout { .. } | Error::Overloaded { .. }) => {
                self.proxy.pass_from_now_on(&self.ask, Own::Asker);
            }
            _ => {}
        }
        if end.is_err() {
            self.proxy.metrics.broken_answers.inc();
        }
        let kept = end.map(|body| {
            let object =
                Object { body, content_type, produced: head.freshness.received, max_age: Duration::ZERO };
            self.proxy.keep(&head, object.body.clone(), self.ask.began);
            Arc::new(object)
        });
        growing.finish(kept);
        drop(guard);
        self.each(|_, _| Outcome::Alone);
    }

    /// The origin says that the old answer is still right.
    fn freshen(&mut self, answer: Answer, old: &Stored) {
        match keeping::freshened(&self.ask, answer, old) {
            Some((head, shared)) => {
                let stored = self.proxy.keep(&head, old.body.clone(), self.ask.began);
                self.settle(&stored, How::Fetched(304), shared);
            }
            None => {
                self.proxy.store.forget(old);
                let stored = Arc::new(Stored::new(0, Arc::clone(&old.head), old.body.clone()));
                self.settle(&stored, How::Fetched(304), false);
            }
        }
    }

    /// The answer is not kept: it is for whose request it was. `why` says when that is so for the next as well.
    fn hand_out(&mut self, answer: Answer, why: Option<Own>) {
        let status = answer.head.status;
        // Everybody gets the failure that was found; a crowd at a failing origin would not help it.
        let failed = status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED;
        let error = Error::Status { origin: Arc::clone(&answer.body.origin), status: status.as_u16() };
        if let Some(why) = why.filter(|_| !failed) {
            self.proxy.pass_from_now_on(&self.ask, why);
        }
        let mut own = Some(Box::new(answer));
        self.each(|fill, waiter| match own.take_if(|_| waiter.id == fill.of) {
            Some(answer) => Outcome::Own(answer),
            None if failed => Outcome::Failed(error.clone()),
            None => Outcome::Alone,
        });
    }

    fn settle(&mut self, stored: &Arc<Stored>, how: How, shared: bool) {
        if !shared {
            self.proxy.pass_from_now_on(&self.ask, Own::Asker);
        }
        self.each(|fill, waiter| match shared || waiter.id == fill.of {
            true => Outcome::Whole(Arc::clone(stored), how),
            false => Outcome::Alone,
        });
    }

    fn fall_back(&mut self, spare: &Arc<Stored>, status: Option<StatusCode>) {
        let status = status.map(|status| status.as_u16());
        self.proxy.failed(&self.ask);
        self.each(|_, _| Outcome::Whole(Arc::clone(spare), How::Stale(status)));
    }

    fn fail(&mut self, error: &Error) {
        self.each(|_, _| Outcome::Failed(error.clone()));
    }

    /// Ends the flight and tells everybody who waits.
    fn each(&mut self, mut outcome: impl FnMut(&Self, &Waiter) -> Outcome) {
        let Some(permit) = self.permit.take() else { return };
        let waiters = self.proxy.flights().land(permit);
        for waiter in waiters {
            let outcome = outcome(self, &waiter);
            tell(waiter, outcome);
        }
    }
}

impl Drop for Fill {
    fn drop(&mut self) {
        let Some(permit) = self.permit.take() else { return };
        let elected = self.proxy.flights().abandon(permit);
        if let Some((waiter, permit)) = elected {
            let next = Self::new(&self.proxy, permit, Arc::clone(&self.ask), self.old.take(), waiter.id);
            // When the waiter is gone as well, the fill comes back, is dropped here and elects the next.
            tell(waiter, Outcome::Elected(next));
        }
    }
}

/// A body on its way into memory.
struct Growth {
    body: Delivery,
    room: Arc<Reservation>,
    got: u64,
    limit: u64,
}

impl Growth {
    async fn chunk(&mut self) -> Result<Option<Bytes>> {
        let Some(chunk) = self.body.chunk().await? else { return Ok(None) };
        self.got += chunk.len() as u64;
        if self.got > self.limit {
            return Err(Error::TooLarge { origin: Arc::clone(&self.body.origin), limit: self.limit });
        }
        // Room for a length that was told is taken already, but not for what a piece costs beside its bytes.
        let more = PIECE + if self.body.length.is_none() { chunk.len() as u64 } else { 0 };
        if !self.room.grow(more) {
            return Err(Error::Overloaded { what: "bytes of answers that arrive" });
        }
        Ok(Some(chunk))
    }

    /// Takes up to about `limit` bytes; true when that was all.
    async fn collect(&mut self, limit: u64, chunks: &mut Vec<Bytes>) -> Result<bool> {
        if self.body.length.is_some_and(|length| length > limit) {
            return Ok(false);
        }
        while self.got <= limit {
            let Some(chunk) = self.chunk().await? else { return Ok(true) };
            chunks.push(chunk);
        }
        Ok(false)
    }
}

/// Whether an answer may stand in for a failing origin.
pub(super) fn serves_on_error(stored: &Stored) -> bool {
    stored.state(Instant::now()) != State::Expired
}

fn tell(waiter: Waiter, outcome: Outcome) {
    // A waiter that is gone needs no answer.
    let _gone = waiter.tell.send(outcome);
}

/// Ends a body whose task stops early, so that its readers do not wait for ever.
struct Unfinished<'a>(&'a Growing);

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        self.0.finish(Err(Error::Draining));
    }
}

/// Playlists and manifests; they come in a few packets.
const MAX_COLLECTED: u64 = 256 << 10;
/// What a piece of a body costs in memory beside its bytes.
const PIECE: u64 = 64;
/// A segment.
const MAX_COLLECTED_WITH_SPARE: u64 = 4 << 20;
