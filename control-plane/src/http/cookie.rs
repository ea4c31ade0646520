//! The session as a cookie, for pages: written, read, and believed only from our own pages.

use http::header::{COOKIE, HOST, ORIGIN};
use http::request::Parts;
use http::{HeaderMap, Method};

use crate::error::Error;

/// The value of a cookie.
pub(super) fn get<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(';')).find_map(|pair| {
        let (key, value) = pair.trim().split_once('=')?;
        (key == name).then_some(value)
    })
}

/// A cookie to be set (RFC 6265) for `seconds`; 0 takes it away. `rest` is its path and what other sites may do with it.
pub(super) fn set(name: &str, value: &str, rest: &str, seconds: u64, secure: bool) -> String {
    let secure = if secure { "; Secure" } else { "" };
    format!("{name}={value}; {rest}; HttpOnly; Max-Age={seconds}{secure}")
}

/// Refuses a change that another site's page may have sent: browsers send the cookie along with it where SameSite is not
/// known, and from a page at another port or name of this host.
pub(super) fn check_site(parts: &Parts) -> Result<(), Error> {
    if matches!(parts.method, Method::GET | Method::HEAD) || is_same_origin(parts) {
        Ok(())
    } else {
        Err(Error::CrossSite)
    }
}

/// By what browsers say and no page can change (Fetch Metadata; RFC 6454).
pub(super) fn is_same_origin(parts: &Parts) -> bool {
    let text = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = text("sec-fetch-site") {
        return site == "same-origin";
    }
    let host = parts.uri.authority().map(http::uri::Authority::as_str).or_else(|| text(HOST.as_str()));
    let origin =
        text(ORIGIN.as_str()).and_then(|origin| origin.split_once("://")).map(|(_, authority)| authority);
    host.is_some_and(|host| origin.is_some_and(|origin| origin.eq_ignore_ascii_case(host)))
}

/// The session's.
pub(super) const SESSION: &str = "nearcast_session";
/// Where it is sent, and that no other site's page has it sent.
pub(super) const SESSION_REST: &str = "Path=/api; SameSite=Strict";

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(method: Method, headers: &[(&str, &str)]) -> Parts {
        let request = http::Request::builder().method(method).uri("/api/v1/sessions");
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn a_change_has_to_come_from_our_own_pages() {
        let host = ("host", "control.example.net:8443");
        for (method, headers, allowed) in [
            (Method::GET, &[host] as &[_], true),
            (Method::POST, &[host], false),
            (Method::POST, &[host, ("sec-fetch-site", "same-origin")], true),
            (Method::DELETE, &[host, ("sec-fetch-site", "same-site")], false),
            (Method::POST, &[host, ("sec-fetch-site", "none")], false),
            (Method::POST, &[host, ("origin", "https://control.example.net:8443")], true),
            (Method::POST, &[host, ("origin", "https://control.example.net")], false),
            (Method::POST, &[host, ("origin", "https://evil.example")], false),
            (Method::POST, &[host, ("origin", "null")], false),
            (Method::POST, &[("origin", "https://")], false),
            // Only the browser knows better than the page.
            (
                Method::POST,
                &[host, ("sec-fetch-site", "cross-site"), ("origin", "https://control.example.net:8443")],
                false,
            ),
        ] {
            assert_eq!(check_site(&parts(method.clone(), headers)).is_ok(), allowed, "{method} {headers:?}");
        }
    }

    #[test]
    fn a_cookie_is_found_among_others() {
        let parts = parts(Method::GET, &[("cookie", "a=1; nearcast_session=x=y"), ("cookie", "b=2")]);
        assert_eq!(get(&parts.headers, SESSION), Some("x=y"));
        assert_eq!((get(&parts.headers, "b"), get(&parts.headers, "session")), (Some("2"), None));
        let line = set(SESSION, "x", SESSION_REST, 60, true);
        assert_eq!(line, "nearcast_session=x; Path=/api; SameSite=Strict; HttpOnly; Max-Age=60; Secure");
    }
}
