//! The web pages, compiled in: `/` is `index.html`, `/watch/{channel}` is `watch.html`, and so on for each page.

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use rust_embed::{EmbeddedFile, RustEmbed};

use crate::error::{Error, Result};

#[derive(RustEmbed)]
#[folder = "../web/dist"]
#[allow_missing = true]
struct Dist;

/// Everything that is not the API.
pub(super) async fn serve(request: Request) -> Result<Response> {
    let path = request.uri().path();
    if path.starts_with("/api/") {
        return Err(Error::NoSuchPath);
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Err(Error::PageMethod(request.method().clone()));
    }
    let name = file_name(path);
    match Dist::get(&name) {
        Some(file) => Ok(answer(&name, file, request.headers())),
        None if Dist::get(INDEX).is_none() => Err(Error::NoPages),
        None => Err(Error::NoSuchPath),
    }
}

/// The file that a path shows: itself, or the page that its first part names.
fn file_name(path: &str) -> String {
    let path = path.trim_start_matches('/');
    let first = path.split('/').next().unwrap_or_default();
    match first {
        "" => INDEX.to_owned(),
        _ if path.starts_with(ASSETS) || path.contains('.') && !path.contains('/') => path.to_owned(),
        page => format!("{page}.html"),
    }
}

fn answer(name: &str, file: EmbeddedFile, asked: &HeaderMap) -> Response {
    let hash = file.metadata.sha256_hash();
    let etag = format!("\"{}\"", hash[..16].iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    let matches = |value: &HeaderValue| {
        value
            .to_str()
            .is_ok_and(|text| text.split(',').any(|tag| tag.trim().trim_start_matches("W/") == etag))
    };
    let mut response = match asked.get_all(IF_NONE_MATCH).iter().any(matches) {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => file.data.into_owned().into_response(),
    };
    // Assets have a hash of their content in their name; pages name the newest assets.
    let caching = if name.starts_with(ASSETS) { "public, max-age=31536000, immutable" } else { "no-cache" };
    let kind = file.metadata.mimetype();
    let kind = if kind.starts_with("text/") { format!("{kind}; charset=utf-8") } else { kind.to_owned() };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(caching));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    for (header, value) in [(CONTENT_TYPE, kind), (ETAG, etag)] {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(header, value);
        }
    }
    response
}

const INDEX: &str = "index.html";
const ASSETS: &str = "assets/";

/// Own scripts and styles only. Media comes from whichever edges steering names; a player feeds it through blobs.
const POLICY: &str = "default-src 'self'; connect-src 'self' https: http:; media-src 'self' blob: https: http:; \
                      worker-src 'self' blob:; object-src 'none'; base-uri 'none'; form-action 'self'; \
                      frame-ancestors 'self'";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_shows_a_page_or_an_asset() {
        for (path, name) in [
            ("/", "index.html"),
            ("/watch/demo", "watch.html"),
            ("/watch/demo/", "watch.html"),
            ("/watch", "watch.html"),
            ("/watch.html", "watch.html"),
            ("/assets/index-B.js", "assets/index-B.js"),
            ("/favicon.ico", "favicon.ico"),
            ("/../../etc/passwd", "...html"),
        ] {
            assert_eq!(file_name(path), name, "{path}");
        }
    }

    #[test]
    fn assets_are_kept_for_ever_and_pages_are_asked_for_again() {
        let file = || EmbeddedFile {
            data: b"x".as_slice().into(),
            metadata: rust_embed::Metadata::__rust_embed_new([7; 32], None, None, "text/javascript"),
        };
        let asset = answer("assets/index-B.js", file(), &HeaderMap::new());
        assert!(asset.headers()[CACHE_CONTROL].to_str().unwrap().contains("immutable"));
        let page = answer("index.html", file(), &HeaderMap::new());
        assert_eq!(page.headers()[CACHE_CONTROL], "no-cache");
        let again = HeaderMap::from_iter([(IF_NONE_MATCH, page.headers()[ETAG].clone())]);
        assert_eq!(answer("index.html", file(), &again).status(), StatusCode::NOT_MODIFIED);
    }
}
