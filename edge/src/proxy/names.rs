//! Which route a request is for, and the one name under which its answer is kept and purged: the route's number and the
//! path and query as the viewer wrote them.

use std::sync::Arc;

use http::header::HOST;
use http::request::Parts;

use super::route::Route;

/// The routes of an edge, longest path first.
#[derive(Debug, Default)]
pub struct Routes(Vec<Arc<Route>>);

impl Routes {
    pub(super) fn new(mut routes: Vec<Route>) -> Self {
        // Routes with names go before those without.
        routes.sort_by_key(|route| {
            std::cmp::Reverse((!route.config.hosts.is_empty(), route.config.path.len()))
        });
        for (number, route) in routes.iter_mut().enumerate() {
            route.number = number;
        }
        Self(routes.into_iter().map(Arc::new).collect())
    }

    /// The route of a request, `None` when it is for this edge itself.
    pub fn of(&self, request: &Parts) -> Option<&Arc<Route>> {
        if self.0.is_empty() {
            return None;
        }
        self.find(host(request), request.uri.path())
    }

    /// The route of a host, without port, and a path.
    pub fn find(&self, host: &str, path: &str) -> Option<&Arc<Route>> {
        self.0.iter().find(|route| route.is_for(host, path))
    }

    /// Every name that a URL has in memory: here and on every host where none is given.
    pub fn names_of(&self, host: Option<&str>, path_and_query: &str) -> Vec<String> {
        let path = path_and_query.split('?').next().unwrap_or_default();
        match host {
            Some(host) => self.find(host, path).map(|route| route.name(path_and_query)).into_iter().collect(),
            None => {
                let all = self.0.iter().filter(|route| covers(&route.config.path, path));
                all.map(|route| route.name(path_and_query)).collect()
            }
        }
    }

    /// Beginnings that all names under a URL have, and no other.
    pub fn prefixes_of(&self, host: Option<&str>, begin: &str) -> Vec<String> {
        let path = begin.split('?').next().unwrap_or_default();
        let there = self.0.iter().filter(|route| host.is_none_or(|host| route.has_host(host)));
        // What is purged may lie under the route's path or above it.
        let there =
            there.filter(|route| route.config.path.starts_with(begin) || covers(&route.config.path, path));
        there.map(|route| route.name(begin)).collect()
    }
}

impl Route {
    fn is_for(&self, host: &str, path: &str) -> bool {
        let ours = self.config.hosts.is_empty() && is_ours(path);
        !ours && self.has_host(host) && covers(&self.config.path, path)
    }

    fn has_host(&self, host: &str) -> bool {
        self.config.hosts.is_empty() || self.config.hosts.iter().any(|name| name.eq_ignore_ascii_case(host))
    }

    /// Where the answer to this path is kept.
    pub fn name(&self, path_and_query: &str) -> String {
        format!("{}:{path_and_query}", self.number)
    }
}

/// The host of a request, without its port.
pub fn host(request: &Parts) -> &str {
    let of_uri = request.uri.authority().map(|authority| authority.as_str());
    let host = of_uri.or_else(|| request.headers.get(HOST)?.to_str().ok()).unwrap_or_default();
    without_port(host)
}

/// `[::1]:80` and `a:80` without their ports.
pub fn without_port(host: &str) -> &str {
    match host.rfind(':') {
        Some(colon) if !host[colon..].contains(']') => &host[..colon],
        _ => host,
    }
}

/// Whether a path has segments that mean another one, in any spelling: an origin may follow them out of the route.
pub fn has_dots(path: &str) -> bool {
    path.split(['/', '\\']).any(|segment| {
        let plain = segment.to_ascii_lowercase().replace("%2e", ".");
        plain.split("%2f").flat_map(|part| part.split("%5c")).any(|part| matches!(part, "." | ".."))
    })
}

/// Whether `path` is `prefix` or lies under it.
fn covers(prefix: &str, path: &str) -> bool {
    path.strip_prefix(prefix)
        .is_some_and(|rest| prefix.ends_with('/') || rest.is_empty() || rest.starts_with('/'))
}

/// Paths that have a meaning here.
fn is_ours(path: &str) -> bool {
    ["/live", "/whep", "/whip"].iter().any(|prefix| covers(prefix, path)) || path.starts_with("/~")
}

/// Runs over any bytes: what is found lies under its route, and what has a host of its own alone under `/live/`.
pub fn fuzz(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = (without_port(text), has_dots(text));
    let route = |host: Option<&str>, path: &str| {
        let (hosts, path) = (host.into_iter().map(str::to_owned).collect(), path.to_owned());
        Route::new(super::Config { hosts, path, ..super::Config::default() })
    };
    let routes = [route(None, "/"), route(None, "/a/"), route(Some("own"), "/a")];
    let routes = Routes::new(routes.into_iter().flatten().collect());
    let (host, path) = text.split_at(text.find('/').unwrap_or(text.len()));
    if let Some(found) = routes.find(host, path) {
        let named = !found.config.hosts.is_empty();
        assert!(path.starts_with(&found.config.path) && (!named || host.eq_ignore_ascii_case("own")));
        assert!(named || !path.starts_with("/live/"));
    }
}

#[cfg(test)]
mod tests {
    use super::super::config::Config;
    use super::*;

    fn routes(configs: &[(&str, &[&str], &str)]) -> Routes {
        let route = |(name, hosts, path): &(&str, &[&str], &str)| {
            let hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
            let upstreams = vec!["http://127.0.0.1:1".to_owned()];
            let config = Config {
                name: (*name).to_owned(),
                hosts,
                path: (*path).to_owned(),
                upstreams,
                ..Config::default()
            };
            Route::new(config).unwrap()
        };
        Routes::new(configs.iter().map(route).collect())
    }

    #[test]
    fn the_longest_path_of_a_named_host_wins_and_ours_stays_ours() {
        let routes = routes(&[
            ("any", &[], "/"),
            ("vod", &[], "/vod"),
            ("deep", &[], "/vod/deep/"),
            ("site", &["www.example.net"], "/"),
        ]);
        let cases = [
            ("eu-1", "/", Some("any")),
            ("eu-1", "/vod", Some("vod")),
            ("eu-1", "/vod/a", Some("vod")),
            ("eu-1", "/vodka", Some("any")),
            ("eu-1", "/vod/deep/x", Some("deep")),
            ("WWW.example.net", "/vod/a", Some("site")),
            ("www.example.net", "/live/demo/index.m3u8", Some("site")),
            ("eu-1", "/live/demo/index.m3u8", None),
            ("eu-1", "/~token/live/demo/index.m3u8", None),
            ("eu-1", "/livestock", Some("any")),
        ];
        for (host, path, want) in cases {
            let found = routes.find(host, path).map(|route| route.config.name.as_str());
            assert_eq!(found, want, "{host} {path}");
        }
    }

    #[test]
    fn a_url_has_a_name_in_each_route_that_may_answer_it() {
        let routes = routes(&[("any", &[], "/"), ("site", &["www.example.net"], "/a/")]);
        assert_eq!(routes.names_of(Some("www.example.net"), "/a/b?c"), ["0:/a/b?c"]);
        assert_eq!(routes.names_of(Some("eu-1"), "/a/b"), ["1:/a/b"]);
        assert_eq!(routes.names_of(None, "/a/b"), ["0:/a/b", "1:/a/b"]);
        assert_eq!(routes.prefixes_of(None, "/"), ["0:/", "1:/"]);
        assert_eq!(routes.prefixes_of(Some("eu-1"), "/a/"), ["1:/a/"]);
        assert_eq!(routes.prefixes_of(Some("www.example.net"), "/z/"), ["1:/z/"]);
        assert_eq!(routes.prefixes_of(Some("www.example.net"), "/a?b"), ["1:/a?b"]);
        assert_eq!(routes.prefixes_of(Some("www.example.net"), "/a/?b"), ["0:/a/?b", "1:/a/?b"]);
    }

    #[test]
    fn hosts_lose_their_ports_and_dots_are_seen() {
        for (host, want) in [("a:80", "a"), ("a", "a"), ("[::1]:80", "[::1]"), ("[::1]", "[::1]"), ("", "")] {
            assert_eq!(without_port(host), want);
        }
        for path in ["/a/../b", "/a/%2E%2e/b", "/..", "/a/.", "/a/.%2e", "/a%2f..%2Fb", "/a\\..\\b"] {
            assert!(has_dots(path), "{path}");
        }
        for path in ["/a/..b", "/a...", "/", "/a.b/c"] {
            assert!(!has_dots(path), "{path}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in "[ -~é]{0,30}") {
            fuzz(text.as_bytes());
            fuzz(format!("/live{text}").as_bytes());
        }
    }
}
