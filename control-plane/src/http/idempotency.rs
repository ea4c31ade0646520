//! `Idempotency-Key`: a call that is made again, because its answer was lost on the way, is answered again and not carried
//! out again (draft-ietf-httpapi-idempotency-key-header-07).
//!
//! Every POST takes it but those that change nothing. A kept answer may hold a secret that is shown once: it is encrypted under a
//! key made from the caller's `Idempotency-Key` and their own credentials, neither of which the store has.

use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::{hkdf, hmac};
use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, StatusCode};
use nearcast_service::http::read_limited;
use nearcast_service::log::Chain;
use serde::{Deserialize, Serialize};

use super::auth::{self, Limited};
use super::{Shared, extract};
use crate::error::{Error, Result};
use crate::plane::unix_millis;
use crate::store::{Call, Claim};

/// What a key opens.
struct Keys {
    call: Call,
    seal: [u8; 32],
}

/// An answer, as it is kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

/// Around every route.
pub(super) async fn layer(
    State(shared): State<Arc<Shared>>,
    request: Request,
    next: Next,
) -> Result<Response> {
    let route = request.extensions().get::<MatchedPath>();
    let takes = request.method() == Method::POST && route.is_some_and(|route| !is_left_out(route.as_str()));
    let Some(key) = takes.then(|| given(request.headers())).transpose()?.flatten() else {
        return Ok(next.run(request).await);
    };
    let (mut parts, body) = request.into_parts();
    // Who may not call has nothing kept; the route says why, as it always does.
    let Ok(Limited(caller)) = Limited::from_request_parts(&mut parts, &shared).await else {
        return Ok(next.run(Request::from_parts(parts, body)).await);
    };
    let body = extract::read(Request::new(body), extract::MAX_BODY).await?;
    let Keys { call, seal } = keys(&key, &parts, &body, caller.actor.name);
    let store = shared.plane.store();
    let claim = match store.claim(&call, unix_millis()).await? {
        Claim::Mine(claim) => claim,
        Claim::Answered(kept) => {
            // It was sealed under the same key, or would have another id.
            return open(&seal, &kept)
                .ok_or_else(|| Error::DamagedStore { what: "an answer", value: call.id });
        }
        Claim::Running => return Err(Error::StillRunning),
        Claim::OtherBody => return Err(Error::KeyUsed),
        Claim::Full => return Err(Error::TooManyKeys),
    };
    let request = Request::from_parts(parts, body.into());
    let (parts, body) = next.run(request).await.into_parts();
    // Ours, and never long: what fails here is not an answer that could be kept.
    let body = read_limited(body, MAX_ANSWER).await.map_err(|_| Error::StillRunning)?;
    let kept = if parts.status.is_success() { sealed(&seal, &parts, &body) } else { None };
    let noted = match kept {
        Some(kept) => store.answer(&call.id, &claim, &kept).await,
        None => store.release(&call.id, &claim).await,
    };
    if let Err(error) = noted {
        tracing::warn!("who makes this call again is told that it still runs: {}", Chain(&error));
    }
    Ok(Response::from_parts(parts, body.into()))
}

/// Nodes repeat what they say anyway, and what changes nothing can be asked again.
fn is_left_out(route: &str) -> bool {
    route.ends_with("/heartbeat") || route.ends_with("/validate")
}

/// The key, with or without the quotes that the draft has around it.
fn given(headers: &http::HeaderMap) -> Result<Option<String>> {
    let mut values = headers.get_all(HEADER).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.to_str().unwrap_or_default();
    let key = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    if values.next().is_some() || key.is_empty() || key.len() > LONGEST_KEY {
        let problem =
            format!("Idempotency-Key: use one, of 1 to {LONGEST_KEY} visible characters, such as a UUID");
        return Err(Error::BadRequest(problem));
    }
    Ok(Some(key.to_owned()))
}

/// From what only the caller has: names for the store that tell nothing, and what seals the answer.
fn keys(key: &str, parts: &Parts, body: &[u8], caller: String) -> Keys {
    // The caller was let in by it.
    let credential = auth::presented(&parts.headers).unwrap_or_default();
    let route = parts.uri.path_and_query().map_or("", |route| route.as_str());
    let secret = [credential.as_bytes(), caller.as_bytes(), route.as_bytes(), key.as_bytes()];
    // Each behind its length, so that no two lists are the same bytes.
    let secret =
        secret.iter().flat_map(|part| [&part.len().to_be_bytes()[..], part].concat()).collect::<Vec<u8>>();
    let derived = hkdf::Salt::new(hkdf::HKDF_SHA256, b"nearcast idempotency").extract(&secret);
    let expand = |what: &[u8]| {
        let mut out = [0; 32];
        // Fails only for more than 255 times the hash.
        let _short = derived.expand(&[what], hkdf::HKDF_SHA256).and_then(|okm| okm.fill(&mut out));
        out
    };
    let fingerprint = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &expand(b"body")), body);
    let text = |bytes: &[u8]| STANDARD_NO_PAD.encode(bytes);
    let call = Call { id: text(&expand(b"id")), caller, fingerprint: text(fingerprint.as_ref()) };
    Keys { call, seal: expand(b"answer") }
}

fn sealed(seal: &[u8; 32], parts: &http::response::Parts, body: &[u8]) -> Option<String> {
    let headers = parts.headers.iter();
    let headers =
        headers.filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())));
    let body = STANDARD_NO_PAD.encode(body);
    let kept = Kept { status: parts.status.as_u16(), headers: headers.collect(), body };
    let mut bytes = serde_json::to_vec(&kept).ok()?;
    let key = RandomizedNonceKey::new(&AES_256_GCM, seal).ok()?;
    let nonce = key.seal_in_place_append_tag(Aad::empty(), &mut bytes).ok()?;
    Some(STANDARD_NO_PAD.encode([&nonce.as_ref()[..], &bytes].concat()))
}

fn open(seal: &[u8; 32], kept: &str) -> Option<Response> {
    let mut bytes = STANDARD_NO_PAD.decode(kept).ok()?;
    let (nonce, sealed) = bytes.split_at_mut_checked(NONCE_LEN)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let key = RandomizedNonceKey::new(&AES_256_GCM, seal).ok()?;
    let opened = key.open_in_place(nonce, Aad::empty(), sealed).ok()?;
    let Kept { status, headers, body } = serde_json::from_slice(opened).ok()?;
    let mut response = Response::new(Bytes::from(STANDARD_NO_PAD.decode(body).ok()?).into());
    *response.status_mut() = StatusCode::from_u16(status).ok()?;
    for (name, value) in headers {
        response.headers_mut().append(HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?);
    }
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    Some(response)
}

/// Describes the header where it is taken.
pub(super) fn describe(document: &mut utoipa::openapi::OpenApi) {
    use utoipa::openapi::path::{ParameterBuilder, ParameterIn};
    use utoipa::openapi::schema::{ObjectBuilder, Type};
    use utoipa::openapi::{RefOr, Required};

    let header = ParameterBuilder::new()
        .name("Idempotency-Key")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(
            "A name for this call, such as a UUID. Who makes it again within 24 hours, with the same token, key and body, gets \
             its first answer again, marked `Idempotency-Replayed: true`, and nothing happens twice; an answer that was a \
             failure is not kept. Another body with the same key is a 422; while the first call runs, it is a 409.",
        ))
        .schema(Some(
            ObjectBuilder::new().schema_type(Type::String).min_length(Some(1)).max_length(Some(LONGEST_KEY)).pattern(Some(PATTERN)),
        ))
        .build();
    for (path, item) in &mut document.paths.paths {
        if let Some(post) = item.post.as_mut().filter(|_| !is_left_out(path)) {
            post.parameters.get_or_insert_default().push(RefOr::T(header.clone()));
        }
    }
}

const HEADER: &str = "idempotency-key";
const REPLAYED: &str = "idempotency-replayed";
const LONGEST_KEY: usize = 255;
/// Visible characters of ASCII but quotes.
const PATTERN: &str = "^[!#-~]+$";
/// Answers to POSTs describe one thing.
const MAX_ANSWER: usize = 1 << 20;
