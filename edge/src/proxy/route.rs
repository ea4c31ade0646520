//! A route and the way to its origin: which URL is asked, with limits, and left alone when it fails.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::header::{HOST, USER_AGENT, VIA};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request};
use nearcast_service::client::Http;
use nearcast_service::http::Body;
use nearcast_service::log::Chain;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::answer::{Answer, Delivery};
use super::config::Config;
use crate::error::{Error, Result};
use crate::metrics;
use crate::upstream::AGENT;
use crate::upstream::health::Breaker;
use crate::upstream::retry::Budget;

/// A route, its connections and what is known of its origin's health.
#[derive(Debug)]
pub struct Route {
    pub config: Config,
    /// Its place among all.
    pub number: usize,
    /// Headers that go on beside the usual ones.
    pub forward: Vec<HeaderName>,
    http: Http,
    urls: Vec<Url>,
    places: Arc<Semaphore>,
    budget: Budget,
}

#[derive(Debug)]
struct Url {
    base: Arc<str>,
    breaker: Mutex<Breaker>,
}

/// One request to an origin.
#[derive(Debug)]
pub struct Question<'a> {
    pub method: &'a Method,
    /// As the viewer wrote them.
    pub path_and_query: &'a str,
    pub headers: HeaderMap,
    pub via: &'a HeaderValue,
}

impl Route {
    /// Connects to nothing yet. The configuration was checked.
    pub fn new(config: Config) -> Result<Self> {
        let http = Http::new(&config.client())?;
        let url = |base: &String| Url { base: base.trim_end_matches('/').into(), breaker: Mutex::default() };
        let urls = config.upstreams.iter().map(url).collect();
        let forward = config.forward_headers.iter().filter_map(|name| name.parse().ok()).collect();
        let places = Arc::new(Semaphore::new(config.max_requests.min(Semaphore::MAX_PERMITS)));
        Ok(Self { config, number: 0, forward, http, urls, places, budget: Budget::default() })
    }

    /// Whether requests with this method are passed on, beside GET and HEAD.
    pub fn takes(&self, method: &Method) -> bool {
        self.config.methods.iter().any(|taken| taken == method.as_str())
    }

    /// Asks the origin; retries what may be sent twice, once, at the next URL where there is one.
    pub async fn ask(&self, question: &Question<'_>, metrics: &metrics::Proxy) -> Result<Answer> {
        self.budget.deposit();
        let first = match self.once(question, Body::empty(), metrics, None, &|| None).await {
            Ok(answer) if self.urls.len() == 1 || !is_gateways(&answer) => return Ok(answer),
            Ok(answer) => Ok(answer),
            Err(error @ (Error::Connect { .. } | Error::BrokeOff { .. })) => Err(error),
            Err(error) => return Err(error),
        };
        if !self.budget.withdraw() {
            return first;
        }
        let failed = match &first {
            Ok(answer) => Arc::clone(&answer.body.origin),
            Err(Error::Connect { origin, .. } | Error::BrokeOff { origin, .. }) => Arc::clone(origin),
            Err(_) => return first,
        };
        self.once(question, Body::empty(), metrics, Some(&failed), &|| None).await.or(first)
    }

    /// Sends a request with a body, once. `fault` says whether it was the viewer's that it failed.
    pub async fn send(
        &self,
        question: &Question<'_>,
        body: Body,
        metrics: &metrics::Proxy,
        fault: &(dyn Fn() -> Option<Error> + Sync),
    ) -> Result<Answer> {
        self.once(question, body, metrics, None, fault).await
    }

    async fn once(
        &self,
        question: &Question<'_>,
        body: Body,
        metrics: &metrics::Proxy,
        not: Option<&str>,
        fault: &(dyn Fn() -> Option<Error> + Sync),
    ) -> Result<Answer> {
        // Before anything that says how the origin is: it has not been asked.
        let place = Arc::clone(&self.places).try_acquire_owned();
        let place = place.map_err(|_| Error::Overloaded { what: "requests at this origin" })?;
        let now = Instant::now();
        let others = || self.urls.iter().filter(|url| not != Some(&*url.base));
        let admitted = others().find(|url| url.breaker(|breaker| breaker.admit(now)));
        // The only one is asked again, unless its breaker says no.
        let admitted = admitted.or_else(|| match &*self.urls {
            [only] if not.is_some() && only.breaker(|breaker| breaker.admit(now)) => Some(only),
            _ => None,
        });
        let Some(url) = admitted else {
            let origin = self.urls.first().map_or_else(|| "".into(), |url| Arc::clone(&url.base));
            return Err(Error::Broken { origin });
        };
        let _admitted = Admitted(url);
        let answer = self.at(url, question, body, metrics, place).await;
        if let (Err(_), Some(error)) = (&answer, fault()) {
            return Err(error);
        }
        metrics.count_upstream(&self.config.name, &answer);
        let failed = match &answer {
            Ok(answer) => is_gateways(answer),
            Err(error) => error.is_parents(),
        };
        if !failed {
            url.breaker(Breaker::on_success);
        } else if url.breaker(|breaker| breaker.on_failure(Instant::now())) {
            let why = answer.as_ref().map_or_else(
                |error| Chain(error).to_string(),
                |answer| format!("it answers {}", answer.head.status),
            );
            let (route, origin) = (&self.config.name, &url.base);
            tracing::warn!(route, %origin, "an origin failed repeatedly and is left alone for a moment: {why}");
        }
        answer
    }

    async fn at(
        &self,
        url: &Url,
        question: &Question<'_>,
        body: Body,
        metrics: &metrics::Proxy,
        place: OwnedSemaphorePermit,
    ) -> Result<Answer> {
        let origin = || Arc::clone(&url.base);
        let unusable = |error: http::Error| Error::Connect { origin: origin(), source: Arc::new(error) };
        let path = self.path_at_origin(question.path_and_query);
        let request = Request::builder().method(question.method).uri(format!("{}{path}", url.base));
        let mut request = request.body(body).map_err(unusable)?;
        let headers = request.headers_mut();
        *headers = question.headers.clone();
        headers.insert(USER_AGENT, AGENT);
        headers.append(VIA, question.via.clone());
        if let Ok(host) = HeaderValue::from_str(&self.config.host_header)
            && !host.is_empty()
        {
            headers.insert(HOST, host);
        }
        let Config { answer_timeout, body_timeout, .. } = self.config;
        // An origin answers when it has the body.
        let patience =
            if request.body().is_empty() { answer_timeout } else { body_timeout.max(answer_timeout) };
        let (sent, patience) = (Instant::now(), Duration::from_secs(patience));
        let answer = tokio::time::timeout(patience, self.http.request(request)).await;
        let answer = answer.map_err(|_| Error::Timeout { origin: origin(), waited: patience })?;
        let response = answer.map_err(|error| match error.is_connect() {
            true => Error::Connect { origin: origin(), source: Arc::new(error) },
            false => Error::BrokeOff { origin: origin(), source: Arc::new(error) },
        })?;
        let idle = Duration::from_secs(self.config.idle_timeout);
        let bytes = metrics.upstream_bytes.clone();
        Ok(Answer::new(response, question.method, sent, |incoming| {
            Delivery::new(incoming, origin(), idle, bytes, place)
        }))
    }

    fn path_at_origin<'a>(&self, path_and_query: &'a str) -> std::borrow::Cow<'a, str> {
        if !self.config.strip_path {
            return path_and_query.into();
        }
        let prefix = self.config.path.trim_end_matches('/');
        let rest = path_and_query.strip_prefix(prefix).unwrap_or(path_and_query);
        if rest.starts_with('/') { rest.into() } else { format!("/{rest}").into() }
    }
}

impl Url {
    fn breaker<R>(&self, run: impl FnOnce(&mut Breaker) -> R) -> R {
        run(&mut self.breaker.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A request that the breaker let through and that may be dropped before its verdict.
struct Admitted<'a>(&'a Url);

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        self.0.breaker(|breaker| breaker.on_lost(Instant::now()));
    }
}

/// Answers of something in front of an origin that cannot reach it.
fn is_gateways(answer: &Answer) -> bool {
    matches!(answer.head.status.as_u16(), 502..=504)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_origin_is_asked_for_the_path_that_it_knows() {
        let at = |path: &str, strip_path, asked: &'static str| {
            let upstreams = vec!["http://127.0.0.1:1/".to_owned()];
            let config = Config { path: path.into(), strip_path, upstreams, ..Config::default() };
            Route::new(config).unwrap().path_at_origin(asked).into_owned()
        };
        assert_eq!(at("/vod/", false, "/vod/a?b"), "/vod/a?b");
        assert_eq!(at("/vod/", true, "/vod/a?b"), "/a?b");
        assert_eq!(at("/vod", true, "/vod/a"), "/a");
        assert_eq!(at("/vod", true, "/vod?b"), "/?b");
        assert_eq!(at("/vod", true, "/vod"), "/");
        assert_eq!(at("/", true, "/a"), "/a");
    }
}
