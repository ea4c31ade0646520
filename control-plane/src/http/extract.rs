//! Arguments of handlers whose failures are problems that name the field.

use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Request};
use bytes::Bytes;
use http::header::IF_MATCH;
use http::request::Parts;
use nearcast_service::http::{ReadError, read_limited};
use serde::de::DeserializeOwned;

use crate::error::Error;
use crate::plane::IfMatch;

/// Parts of the path.
pub(super) struct Path<T>(pub(super) T);

/// The query string.
pub(super) struct Query<T>(pub(super) T);

/// A JSON body of at most [`MAX_BODY`] bytes, whatever its content type says.
pub(super) struct Json<T>(pub(super) T);

/// As [`Json`]; no body at all is the default.
pub(super) struct OptionalJson<T>(pub(super) T);

/// As [`Json`], of at most [`MAX_HEARTBEAT`] bytes.
pub(super) struct LargeJson<T>(pub(super) T);

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Error> {
        let mut lines = parts.headers.get_all(IF_MATCH).iter().peekable();
        if lines.peek().is_none() {
            return Ok(Self::default());
        }
        // What cannot be read matches nothing, which is what is safe.
        let texts = lines.filter_map(|line| line.to_str().ok());
        Ok(Self::tags(texts.flat_map(|text| text.split(',')).map(|tag| tag.trim().to_owned())))
    }
}

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let path = axum::extract::Path::<T>::from_request_parts(parts, state).await;
        path.map(|path| Self(path.0))
            .map_err(|error: PathRejection| Error::BadRequest(short(&error.body_text())))
    }
}

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let query = axum::extract::Query::<T>::from_request_parts(parts, state).await;
        query
            .map(|query| Self(query.0))
            .map_err(|error: QueryRejection| Error::BadRequest(short(&error.body_text())))
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Error;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Error> {
        parse(&read(request, MAX_BODY).await?).map(Self)
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for LargeJson<T> {
    type Rejection = Error;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Error> {
        parse(&read(request, MAX_HEARTBEAT).await?).map(Self)
    }
}

impl<T: DeserializeOwned + Default, S: Send + Sync> FromRequest<S> for OptionalJson<T> {
    type Rejection = Error;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Error> {
        let body = read(request, MAX_BODY).await?;
        if body.is_empty() { Ok(Self(T::default())) } else { parse(&body).map(Self) }
    }
}

pub(super) async fn read(request: Request, max: usize) -> Result<Bytes, Error> {
    read_limited(request.into_body(), max).await.map_err(|error| match error {
        ReadError::TooLarge { max } => Error::TooLarge { max },
        ReadError::TooSlow => Error::TooSlow,
        ReadError::Broken(_) => Error::BadRequest("the request's body broke off: send it again".to_owned()),
    })
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Error> {
    // serde would take a list for an object's fields in their order, which nothing describes.
    if body.trim_ascii_start().starts_with(b"[") {
        return Err(Error::BadBody(
            "the body does not fit: it has to be an object, and is a list".to_owned(),
        ));
    }
    match axum::Json::<T>::from_bytes(body) {
        Ok(axum::Json(value)) => Ok(value),
        Err(error @ JsonRejection::JsonDataError(_)) => Err(Error::BadBody(reason(&error))),
        Err(error) => Err(Error::BadRequest(reason(&error))),
    }
}

/// Where in the body and why: `title: invalid type: integer `5`, expected a string at line 1 column 10`.
fn reason(error: &JsonRejection) -> String {
    let text = error.body_text();
    let reason =
        text.strip_prefix("Failed to deserialize the JSON body into the target type: ").unwrap_or(&text);
    short(&format!("the body does not fit: {reason}"))
}

/// What is wrong with a text for people, if anything.
pub(super) fn check_text(text: &str, max: usize) -> Result<(), String> {
    if text.chars().count() > max {
        return Err(format!("at most {max} characters"));
    }
    if text.chars().any(char::is_control) {
        return Err("no control characters, line breaks among them".to_owned());
    }
    Ok(())
}

/// A hostile body must not come back as an answer, or a log line, of its own size.
fn short(text: &str) -> String {
    text.chars().take(400).collect()
}

/// The largest body of an admin's call is a node's spec, about 2 KB.
pub(super) const MAX_BODY: usize = 64 << 10;
/// An origin lists its broadcasts, about 100 bytes each.
const MAX_HEARTBEAT: usize = 1 << 20;
