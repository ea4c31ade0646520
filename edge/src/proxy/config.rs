//! `[[routes]]`: which requests go to an HTTP origin that is not ours, and how.

use std::path::PathBuf;
use std::time::Duration;

use http::uri::Scheme;
use http::{HeaderName, Method, Uri};
use nearcast_service::client;
use serde::{Deserialize, Serialize};

use super::policy::Defaults;
use crate::cache::size::Size;

/// One of `[[routes]]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// What it is called in logs and metrics; letters, digits, `-` and `_`.
    pub name: String,
    /// Names under which viewers ask for it; empty for any. Only a route with names of its own may take over `/live/`.
    pub hosts: Vec<String>,
    /// Requests whose path begins with it are this route's, as far as whole segments go; the longest of several wins.
    pub path: String,
    /// Base URLs of the origin, `http://` or `https://`; when one cannot be reached the next is asked.
    pub upstreams: Vec<String>,
    /// Leave `path` out of what the origin is asked for.
    pub strip_path: bool,
    /// The `Host` to send; empty for that of the URL.
    pub host_header: String,
    /// PEM file of the authorities to trust in `https://`; empty for the system's.
    pub ca: PathBuf,
    /// Milliseconds for one TCP connection.
    pub connect_timeout_ms: u64,
    /// Seconds until the headers of an answer.
    pub answer_timeout: u64,
    /// Seconds between two pieces of a body.
    pub idle_timeout: u64,
    /// Seconds for the whole body of what is to be kept.
    pub body_timeout: u64,
    /// Larger answers are passed through and not kept.
    pub max_object: Size,
    /// Larger bodies of requests are refused.
    pub max_request_body: Size,
    /// Requests that may be at the origin at a time; more get 503.
    pub max_requests: usize,
    /// Seconds an answer is fresh when the origin says nothing.
    pub lifetime: u64,
    /// The same for 404 and its like.
    pub missing_lifetime: u64,
    /// Seconds after its lifetime for which an answer stands in for a failing origin that says nothing of it.
    pub stale_if_error: u64,
    /// Request headers that the origin gets beside `Accept`, `Accept-Encoding` and `Accept-Language`: what it does not see
    /// it cannot depend on.
    pub forward_headers: Vec<String>,
    /// Send `Cookie` and `Authorization` on.
    pub credentials: bool,
    /// Methods beside GET and HEAD that are passed on, such as POST.
    pub methods: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            name: String::new(),
            hosts: Vec::new(),
            path: "/".into(),
            upstreams: Vec::new(),
            strip_path: false,
            host_header: String::new(),
            ca: PathBuf::new(),
            connect_timeout_ms: 3000,
            answer_timeout: 10,
            idle_timeout: 10,
            body_timeout: 300,
            max_object: Size(64 << 20),
            max_request_body: Size(1 << 20),
            max_requests: 1024,
            lifetime: 1,
            missing_lifetime: 1,
            stale_if_error: 60,
            forward_headers: Vec::new(),
            credentials: false,
            methods: Vec::new(),
        }
    }
}

impl Config {
    /// Says what cannot work, if anything. `memory` is that of the cache.
    pub fn check(&self, memory: Size) -> Result<(), String> {
        let wrong = |key: &str, why: &str| Err(format!("`{key}` of the route {:?} {why}", self.name));
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if self.name.is_empty() || !self.name.chars().all(plain) {
            return wrong("name", "is not made of letters, digits, '-' and '_'");
        }
        if self.hosts.iter().any(|host| host.is_empty() || host.parse::<http::uri::Authority>().is_err()) {
            return wrong(
                "hosts",
                "has an entry that is no name: write it as viewers do, without scheme and port",
            );
        }
        if self.hosts.iter().any(|host| host.contains(':') && !host.ends_with(']')) {
            return wrong("hosts", "has an entry with a port: leave it out, names count on every port");
        }
        if !self.path.starts_with('/') || super::names::has_dots(&self.path) {
            return wrong("path", "does not begin with '/', or has '.' or '..' in it");
        }
        if self.upstreams.is_empty() {
            return wrong(
                "upstreams",
                "is empty: name the origin's base URL, such as https://packager.example.net",
            );
        }
        if let Some(bad) = self.upstreams.iter().find(|url| !is_base(url)) {
            return wrong(
                "upstreams",
                &format!("has {bad:?}, which is no http:// or https:// URL without query"),
            );
        }
        if !self.host_header.is_empty() && self.host_header.parse::<http::uri::Authority>().is_err() {
            return wrong("host_header", "is no host: write HOST or HOST:PORT");
        }
        let timeouts = [self.connect_timeout_ms, self.answer_timeout, self.idle_timeout, self.body_timeout];
        if timeouts.contains(&0) || self.max_requests == 0 {
            return wrong("max_requests", "or one of its timeouts is 0: nothing would ever be answered");
        }
        if self.max_object.0 > memory.0 / 4 {
            return wrong(
                "max_object",
                "is more than a quarter of `cache.memory`: one object would push all others out",
            );
        }
        if let Some(bad) = self.forward_headers.iter().find(|name| !is_forwardable(name)) {
            return wrong(
                "forward_headers",
                &format!("has {bad:?}, which is no header that can be passed on"),
            );
        }
        match self.methods.iter().find(|method| !is_method(method)) {
            Some(bad) => wrong("methods", &format!("has {bad:?}: write POST, PUT, PATCH, DELETE or OPTIONS")),
            None => Ok(()),
        }
    }

    pub(super) fn client(&self) -> client::Config {
        client::Config {
            ca: self.ca.clone(),
            connect_timeout_ms: self.connect_timeout_ms,
            // HTTP/2 has one name for both, the connection's and the request's.
            http2: self.host_header.is_empty(),
            ..client::Config::default()
        }
    }

    pub(super) fn defaults(&self) -> Defaults {
        Defaults {
            lifetime: Duration::from_secs(self.lifetime),
            missing_lifetime: Duration::from_secs(self.missing_lifetime),
            stale_if_error: Duration::from_secs(self.stale_if_error),
        }
    }
}

fn is_base(url: &str) -> bool {
    url.parse::<Uri>().is_ok_and(|uri| {
        let scheme = uri.scheme().is_some_and(|scheme| [Scheme::HTTP, Scheme::HTTPS].contains(scheme));
        let host = uri.host().is_some_and(|host| !host.is_empty());
        let authority = uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
        scheme && host && authority && uri.query().is_none()
    })
}

fn is_forwardable(name: &str) -> bool {
    // These are this edge's to write, or are passed on as it is.
    let own = [
        "accept",
        "accept-encoding",
        "authorization",
        "cache-control",
        "content-length",
        "cookie",
        "host",
        "range",
        "user-agent",
        "via",
    ];
    HeaderName::try_from(name).is_ok_and(|name| {
        !own.contains(&name.as_str()) && !name.as_str().starts_with("if-") && !super::hygiene::is_hop(&name)
    })
}

fn is_method(method: &str) -> bool {
    [Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS]
        .iter()
        .any(|known| known.as_str() == method)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_work_is_said_in_one_line() {
        let good = Config {
            name: "packager".into(),
            upstreams: vec!["https://packager.example.net/out".into()],
            ..Config::default()
        };
        let memory = Size(512 << 20);
        assert_eq!(good.check(memory), Ok(()));
        let strings = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        type Spoil = fn(&mut Config, &dyn Fn(&[&str]) -> Vec<String>);
        let cases: &[(&str, Spoil)] = &[
            ("`name`", |route, _| route.name = "a b".into()),
            ("`hosts`", |route, of| route.hosts = of(&["a.example:80"])),
            ("`path`", |route, _| route.path = "vod/".into()),
            ("`path`", |route, _| route.path = "/a/../b".into()),
            ("`upstreams`", |route, _| route.upstreams.clear()),
            ("`upstreams`", |route, of| route.upstreams = of(&["ftp://example.net"])),
            ("`upstreams`", |route, of| route.upstreams = of(&["https://user:secret@example.net"])),
            ("`host_header`", |route, _| route.host_header = "a b".into()),
            ("`max_requests`", |route, _| route.idle_timeout = 0),
            ("`max_object`", |route, _| route.max_object = Size(200 << 20)),
            ("`forward_headers`", |route, of| route.forward_headers = of(&["Cookie"])),
            ("`methods`", |route, of| route.methods = of(&["CONNECT"])),
        ];
        for (key, change) in cases {
            let mut route = good.clone();
            change(&mut route, &strings);
            let why = route.check(memory).unwrap_err();
            assert!(why.starts_with(key) && !why.contains('\n'), "{why}");
        }
    }
}
