//! One call of the control plane's API: a deadline, a bounded answer, and failures in words.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::uri::Scheme;
use http::{HeaderValue, Method, Request, StatusCode, Uri};
use nearcast_api::Problem;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::client::{Http, RequestError, is_untrusted};
use crate::http::{Body, ReadError, read_limited};
use crate::{Error, Result};

/// Where the API is and what opens it.
#[derive(Debug, Clone)]
pub(super) struct Api {
    /// Without a trailing slash, one for each instance.
    bases: Arc<[String]>,
    /// The one in use, by all clones: another one when it does not answer.
    current: Arc<AtomicUsize>,
    authorization: Option<HeaderValue>,
    /// Another one when the node has a new certificate.
    http: Arc<ArcSwap<Http>>,
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    #[error("cannot reach {base}")]
    Unreachable { base: String, source: RequestError },
    #[error(
        "nobody here knows who has given {base} its certificate: set `control.ca` to that authority's, or copy all of the \
         enrolment token, also what is behind its dot"
    )]
    Untrusted { base: String, source: RequestError },
    #[error("{base} did not answer within {} s", deadline.as_secs())]
    TimedOut { base: String, deadline: Duration },
    #[error("{base} answered {status}: {detail}")]
    Refused { base: String, status: StatusCode, detail: String },
    #[error("the answer of {base} broke off")]
    Broken { base: String, source: ReadError },
    #[error("the answer of {base} is not what this version understands; are both the same version?")]
    NotUnderstood { base: String, source: serde_json::Error },
}

impl Api {
    pub(super) fn new<'a>(urls: impl Iterator<Item = &'a str>, token: &str, http: Http) -> Result<Self> {
        let bases = urls.map(base).collect::<Result<Arc<[String]>>>()?;
        let authorization = match token {
            "" => None,
            token => {
                let mut value = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| {
                    Error::ConfigCheck("`control.token` has characters that no header may have".into())
                })?;
                value.set_sensitive(true);
                Some(value)
            }
        };
        let http = Arc::new(ArcSwap::from_pointee(http));
        Ok(Self { bases, current: Arc::default(), authorization, http })
    }

    /// From now on calls go out by this client; those that wait for an answer still get it.
    pub(super) fn switch(&self, http: Http) {
        self.http.store(Arc::new(http));
    }

    /// Calls `{base}/api/v1{path}`. 204 gives `None`. After a failure that another instance may not have, the next call
    /// goes to that.
    pub(super) async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&(impl Serialize + Sync)>,
        deadline: Duration,
    ) -> Result<Option<T>, CallError> {
        let index = self.current.load(Ordering::Relaxed);
        let base = self.bases.get(index).map_or("", String::as_str);
        let answer = self.call_at(base, method, path, body, deadline).await;
        if answer.as_ref().is_err_and(CallError::is_instances_own) {
            let next = (index + 1) % self.bases.len().max(1);
            // Unless another call has gone on already.
            let _gone_on = self.current.compare_exchange(index, next, Ordering::Relaxed, Ordering::Relaxed);
        }
        answer
    }

    async fn call_at<T: DeserializeOwned>(
        &self,
        base: &str,
        method: Method,
        path: &str,
        body: Option<&(impl Serialize + Sync)>,
        deadline: Duration,
    ) -> Result<Option<T>, CallError> {
        let request = self.request(base, method, path, body)?;
        let answered = tokio::time::timeout(deadline, self.exchange(base, request)).await;
        let (status, bytes) =
            answered.map_err(|_| CallError::TimedOut { base: base.to_owned(), deadline })??;
        if status == StatusCode::NO_CONTENT || (status.is_success() && bytes.is_empty()) {
            return Ok(None);
        }
        if !status.is_success() {
            let problem: Option<Problem> = serde_json::from_slice(&bytes).ok();
            let detail = problem.map_or_else(|| "no reason given".to_owned(), |problem| problem.detail);
            return Err(CallError::Refused { base: base.to_owned(), status, detail });
        }
        serde_json::from_slice(&bytes).map(Some).map_err(|source| not_understood(base, source))
    }

    fn request(
        &self,
        base: &str,
        method: Method,
        path: &str,
        body: Option<&(impl Serialize + Sync)>,
    ) -> Result<Request<Body>, CallError> {
        let mut request = Request::new(Body::empty());
        *request.method_mut() = method;
        // The base was checked and paths are made of ids.
        *request.uri_mut() = format!("{base}/api/v1{path}").parse().unwrap_or_default();
        if let Some(body) = body {
            let json = serde_json::to_vec(body).map_err(|source| not_understood(base, source))?;
            *request.body_mut() = json.into();
            request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        if let Some(authorization) = &self.authorization {
            request.headers_mut().insert(AUTHORIZATION, authorization.clone());
        }
        Ok(request)
    }

    async fn exchange(
        &self,
        base: &str,
        request: Request<Body>,
    ) -> Result<(StatusCode, bytes::Bytes), CallError> {
        let base = || base.to_owned();
        let http = Http::clone(&self.http.load());
        let response = http.request(request).await;
        let response = response.map_err(|source| match is_untrusted(&source) {
            true => CallError::Untrusted { base: base(), source },
            false => CallError::Unreachable { base: base(), source },
        })?;
        let status = response.status();
        let read = read_limited(response.into_body(), MAX_ANSWER).await;
        let bytes = read.map_err(|source| CallError::Broken { base: base(), source })?;
        Ok((status, bytes))
    }
}

/// A URL without a slash at its end.
fn base(url: &str) -> Result<String> {
    let wrong = || Error::BaseUrl { url: url.to_owned() };
    let base = url.trim_end_matches('/');
    let uri: Uri = base.parse().map_err(|_| wrong())?;
    let known = uri.scheme() == Some(&Scheme::HTTP) || uri.scheme() == Some(&Scheme::HTTPS);
    if !known || uri.host().is_none_or(str::is_empty) || uri.query().is_some() {
        return Err(wrong());
    }
    Ok(base.to_owned())
}

fn not_understood(base: &str, source: serde_json::Error) -> CallError {
    CallError::NotUnderstood { base: base.to_owned(), source }
}

impl CallError {
    /// Whether another instance may do better.
    fn is_instances_own(&self) -> bool {
        match self {
            Self::Refused { status, .. } => status.is_server_error(),
            Self::Unreachable { .. }
            | Self::Untrusted { .. }
            | Self::TimedOut { .. }
            | Self::Broken { .. } => true,
            Self::NotUnderstood { .. } => false,
        }
    }

    /// Whether the control plane does not want to hear this node: it will not soon either.
    pub(super) fn is_refusal(&self) -> bool {
        matches!(self.status(), Some(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN))
    }

    /// The status, when the control plane did answer.
    pub(super) fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            Self::Unreachable { .. }
            | Self::Untrusted { .. }
            | Self::TimedOut { .. }
            | Self::Broken { .. }
            | Self::NotUnderstood { .. } => None,
        }
    }
}

/// Between two tries of a node that is refused, at most: what puts that right is an operator.
pub(super) const REFUSED: Duration = Duration::from_secs(60);

/// A snapshot of 100,000 channels at 500 bytes each, with room.
const MAX_ANSWER: usize = 128 << 20;
