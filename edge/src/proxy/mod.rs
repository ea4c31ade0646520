//! A shared cache (RFC 9111) in front of HTTP origins that are not ours: `[[routes]]`.
//!
//! ```text
//! viewer -> names -> store (the one budget) -> flight -> fill -> route -> origin
//!                                   \-> pass ------------^   what is one viewer's own, ranges far away, other methods
//! ```
//! One question for each name and set of headers at a time, whatever the crowd; its answer is judged (`policy`) before
//! anybody else gets it, and what turns out to be somebody's own is remembered for a moment, so that the next do not wait
//! for each other. A range is cut out of an answer that is here or arriving; where it begins far behind what has arrived,
//! it is asked of the origin beside that and not kept.

pub mod conditional;
pub mod config;
pub mod directives;
pub mod hygiene;
pub mod names;
pub mod policy;
pub mod stored;
pub mod tags;
pub mod vary;

mod answer;
mod fill;
mod form;
mod keeping;
mod pass;
pub(crate) mod room;
mod route;
mod window;

#[cfg(test)]
mod tests;

use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::RANGE;
use http::request::Parts;
use http::{HeaderValue, Method};
use nearcast_service::drain::Drain;
use nearcast_service::http::{RequestBody, Response};
use tokio::sync::oneshot;

use self::fill::{Ask, Fill, How, Outcome, Waiter};
use self::form::{Arriving, Form, Told};
use self::names::Routes;
use self::policy::State;
use self::room::Room;
use self::stored::{Head, Stored};
use crate::cache::flight::{Join, Table, Ticket};
use crate::cache::negative::Negative;
use crate::cache::store::{Found, Store};
use crate::error::{Error, Result};
use crate::metrics;
use crate::purge::log::Log;

pub use self::config::Config;
pub use self::route::Route;

/// The cache for other origins. Share it in an `Arc`.
#[derive(Debug)]
pub struct Proxy {
    routes: Routes,
    store: Store,
    flights: Mutex<Table<Arc<Arriving>, Waiter>>,
    next: AtomicU64,
    /// What was lately found to be its asker's own, or too large: not waited for.
    own: Negative<Own>,
    /// What an origin lately failed to say again.
    failures: Negative<()>,
    log: Arc<Log>,
    room: Room,
    max_fills: usize,
    form: Form,
    drain: Drain,
    metrics: metrics::Proxy,
}

/// Why an answer is not for everybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Own {
    /// It says so, or its like has.
    Asker,
    /// It is more than may be kept.
    Large,
}

/// What a proxy shares with the rest of its edge.
#[derive(Debug)]
pub struct Shares {
    pub store: Store,
    pub log: Arc<Log>,
    pub cache: crate::cache::Config,
    pub drain: Drain,
    pub metrics: metrics::Proxy,
}

impl Proxy {
    /// A proxy for these routes, at the edge called `node`, whose part of `Via` is `via`.
    ///
    /// # Errors
    /// The file of a route's authorities is unusable.
    pub fn new(routes: &[Config], node: &str, via: HeaderValue, shares: Shares) -> Result<Arc<Self>> {
        let Shares { store, log, cache, drain, metrics } = shares;
        let routes = routes.iter().cloned().map(Route::new).collect::<Result<Vec<_>>>()?;
        Ok(Arc::new(Self {
            routes: Routes::new(routes),
            store,
            flights: Mutex::default(),
            next: AtomicU64::new(1),
            own: Negative::new(cache.negative_entries),
            failures: Negative::new(cache.negative_entries),
            log,
            room: Room::new(cache.memory.0),
            max_fills: cache.max_fills,
            form: Form::new(node, via),
            drain,
            metrics,
        }))
    }

    /// Its routes.
    pub fn routes(&self) -> &Routes {
        &self.routes
    }

    /// Answers a request that is for `route`.
    pub async fn answer(
        self: &Arc<Self>,
        route: &Arc<Route>,
        head: &Parts,
        body: RequestBody,
    ) -> Result<Response> {
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
        if path.len() > MAX_PATH {
            return Err(Error::LongPath { max: MAX_PATH });
        }
        if names::has_dots(head.uri.path()) {
            return Err(Error::NoRoute);
        }
        let headers = hygiene::for_origin(&head.headers, &route.forward, route.config.credentials);
        let (name, began) = (route.name(path), self.log.now());
        let ask = Ask { route: Arc::clone(route), name, path_and_query: path.to_owned(), headers, began };
        match head.method {
            Method::GET | Method::HEAD => self.get(Arc::new(ask), head).await,
            _ if route.takes(&head.method) => self.forward(&ask, head, body).await,
            _ => Err(Error::Method),
        }
    }

    async fn get(self: &Arc<Self>, ask: Arc<Ask>, viewer: &Parts) -> Result<Response> {
        let open = !ask.route.config.credentials;
        let mut collapsed = false;
        // An answer may turn out to be to other headers than these; after that it is known which ones count.
        for _ in 0..MAX_ROUNDS {
            let now = Instant::now();
            let (old, why) = match self.store.find(&ask.name, &ask.headers) {
                Found::Here(stored) => match stored.state(now) {
                    State::Fresh => {
                        self.count(&ask, "hit");
                        return Ok(self.form.stored(&stored, &viewer.headers, Told::default(), open));
                    }
                    State::Revalidate => {
                        self.refresh(&ask, &stored);
                        self.count(&ask, "stale");
                        let told = Told { detail: Some("stale-while-revalidate"), ..Told::default() };
                        return Ok(self.form.stored(&stored, &viewer.headers, told, open));
                    }
                    State::IfError => match self.failures.get(&self.spelled(&ask), now) {
                        // Not asked now.
                        Some(()) => return Ok(self.stale(&ask, &stored, viewer, Told::default())),
                        None => (Some(stored), "stale"),
                    },
                    State::Expired => (Some(stored), "stale"),
                },
                Found::Others => (None, "vary-miss"),
                Found::Nothing => (None, "uri-miss"),
            };
            if viewer.method == Method::HEAD && old.is_none() {
                return self.pass(&ask, viewer, None, Told::forwarded(why, None)).await;
            }
            if self.own.get(&self.spelled(&ask), now).is_some() {
                let told = Told { detail: Some("hit-for-miss"), ..Told::forwarded(why, None) };
                return self.pass(&ask, viewer, old, told).await;
            }
            let Some(outcome) = self.join(&ask, old.clone(), &mut collapsed).await? else {
                // It was stored meanwhile, or its flight ended without a word.
                continue;
            };
            let told = Told { collapsed, ..Told::forwarded(why, None) };
            match outcome {
                Outcome::Whole(stored, how) if stored.head.vary.matches(&ask.headers) => {
                    return Ok(match how {
                        How::Fetched(status) => {
                            self.count(&ask, "miss");
                            let told = Told { status: Some(status), stored: true, ..told };
                            self.form.stored(&stored, &viewer.headers, told, open)
                        }
                        How::Stale(status) => self.stale(&ask, &stored, viewer, Told { status, ..told }),
                    });
                }
                Outcome::Arriving(arriving) if arriving.head.vary.matches(&ask.headers) => {
                    self.count(&ask, "miss");
                    let status = Some(arriving.head.status.as_u16());
                    let told = Told { status, stored: true, ..told };
                    let response = self.form.arriving(&arriving, &viewer.headers, told, open);
                    return match response {
                        Some(response) => Ok(response),
                        None => self.pass(&ask, viewer, None, Told::forwarded("partial", None)).await,
                    };
                }
                Outcome::Own(answer) if !viewer.headers.contains_key(RANGE) => {
                    self.count(&ask, "pass");
                    let status = Some(answer.head.status.as_u16());
                    return Ok(self.form.passed(*answer, Told { status, ..told }, open));
                }
                Outcome::Own(_) | Outcome::Alone => return self.pass(&ask, viewer, old, told).await,
                Outcome::Failed(error) => {
                    self.count(&ask, "failed");
                    return Err(error);
                }
                Outcome::Whole(..) | Outcome::Arriving(_) | Outcome::Elected(_) => {}
            }
        }
        self.pass(&ask, viewer, None, Told::forwarded("vary-miss", None)).await
    }

    /// Waits for the flight of an answer, or starts it.
    async fn join(
        self: &Arc<Self>,
        ask: &Arc<Ask>,
        old: Option<Arc<Stored>>,
        collapsed: &mut bool,
    ) -> Result<Option<Outcome>> {
        let (tell, told) = oneshot::channel();
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let key = self.flight_key(ask);
        let joined = {
            let mut flights = self.flights();
            // A fill stores before it lands, so what is in neither place is not here.
            if let Found::Here(stored) = self.store.find(&ask.name, &ask.headers)
                && stored.state(Instant::now()) == State::Fresh
            {
                return Ok(None);
            }
            if flights.len() >= self.max_fills && !flights.contains(&key) {
                return Err(Error::Overloaded { what: "fetches running" });
            }
            flights.join(&key, Waiter { id, tell })
        };
        let ticket = match joined {
            Join::Open(arriving) => {
                *collapsed = true;
                return Ok(Some(Outcome::Arriving(arriving)));
            }
            Join::Wait(ticket) => {
                *collapsed = true;
                ticket
            }
            Join::Fetch(ticket, permit) => {
                self.start(Fill::new(self, permit, Arc::clone(ask), old, id));
                ticket
            }
        };
        self.metrics.waiting_requests.inc();
        let _leave = Leave { proxy: self, ticket };
        match told.await {
            Ok(Outcome::Elected(mut fill)) => {
                // Asked with this waiter's headers, as one of those who wait.
                fill.ask = Arc::clone(ask);
                self.start(fill);
                Ok(None)
            }
            Ok(outcome) => Ok(Some(outcome)),
            Err(_not_told) => Ok(None),
        }
    }

    /// Asks again for what is stale, for nobody in particular.
    fn refresh(self: &Arc<Self>, ask: &Arc<Ask>, old: &Arc<Stored>) {
        if self.failures.get(&self.spelled(ask), Instant::now()).is_some() {
            return;
        }
        let permit = {
            let mut flights = self.flights();
            if flights.len() >= self.max_fills { None } else { flights.prefetch(&self.flight_key(ask)) }
        };
        if let Some(permit) = permit {
            self.start(Fill::new(self, permit, Arc::clone(ask), Some(Arc::clone(old)), 0));
        }
    }

    fn start(self: &Arc<Self>, fill: Fill) {
        let proxy = Arc::clone(self);
        self.drain.spawn("route fill", async move {
            let key = fill.key();
            let mut running = pin!(fill.run());
            tokio::select! {
                () = &mut running => return,
                () = proxy.drain.draining() => {}
            }
            // What nobody waits for is not finished for its own sake.
            while proxy.flights().is_wanted(&key) {
                tokio::select! {
                    () = &mut running => return,
                    () = tokio::time::sleep(WANTED_CHECK) => {}
                }
            }
        });
    }

    /// Keeps an answer that was asked for at `began`, unless it was purged since.
    fn keep(&self, head: &Arc<Head>, body: Bytes, began: u64) -> Arc<Stored> {
        // What was asked for since must not be replaced by it.
        if self.log.purged_since(began, &head.name, &head.tags) {
            return Arc::new(Stored::new(0, Arc::clone(head), body));
        }
        let stored = self.store.keep(head, body);
        // Looked at again after it is in the store: a purge that comes now finds it there.
        if self.log.purged_since(began, &head.name, &head.tags) {
            self.store.forget(&stored);
        }
        stored
    }

    fn stale(&self, ask: &Ask, stored: &Stored, viewer: &Parts, told: Told) -> Response {
        self.count(ask, "stale");
        let told = Told { detail: Some("stale-if-error"), ..told };
        self.form.stored(stored, &viewer.headers, told, !ask.route.config.credentials)
    }

    /// The next requests like this do not wait for each other.
    fn pass_from_now_on(&self, ask: &Ask, why: Own) {
        let time = if why == Own::Large { LARGE_FOR } else { HIT_FOR_MISS };
        self.own.insert(&self.spelled(ask), why, time, Instant::now());
    }

    /// The origin failed to say what is right now: it is not asked again at once.
    fn failed(&self, ask: &Ask) {
        self.failures.insert(&self.spelled(ask), (), ASK_AGAIN, Instant::now());
    }

    /// The name of an answer and what tells it from others of that name, as far as that is known.
    fn spelled(&self, ask: &Ask) -> String {
        let mut text = ask.name.clone();
        self.store.spell(&ask.name, &ask.headers, &mut text);
        text
    }

    /// The same; a question from before a purge is another one.
    fn flight_key(&self, ask: &Ask) -> String {
        format!("{}@{}", self.spelled(ask), self.log.newest_of(&ask.name))
    }

    fn count(&self, ask: &Ask, result: &'static str) {
        self.metrics.count(&ask.route.config.name, result);
    }

    fn flights(&self) -> MutexGuard<'_, Table<Arc<Arriving>, Waiter>> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gives a waiter's place back, also when its request is dropped.
struct Leave<'a> {
    proxy: &'a Proxy,
    ticket: Ticket,
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.proxy.metrics.waiting_requests.dec();
        self.proxy.flights().leave(&self.ticket);
    }
}

/// Names are kept in memory with the answers.
const MAX_PATH: usize = 8192;
const MAX_ROUNDS: usize = 4;
/// Long enough that a crowd passes, short enough that an origin that changes its mind is heard.
const HIT_FOR_MISS: Duration = Duration::from_secs(10);
/// What was too large to be kept is cut for whoever finds that out, so it is remembered for longer.
const LARGE_FOR: Duration = Duration::from_secs(60 * 60);
/// How long a failing origin is not asked for what can be sent stale.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// How often a draining edge looks whether a fetch is still waited for.
const WANTED_CHECK: Duration = Duration::from_millis(100);
