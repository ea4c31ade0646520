//! What is under `/live/`: media from the cache, playlists from the followers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::{CONTENT_LENGTH, CONTENT_RANGE, IF_NONE_MATCH, IF_RANGE, RANGE};
use http::{HeaderMap, HeaderValue, StatusCode};
use nearcast_media::hls::request::Directives;
use nearcast_media::path::{File, Resource, Thumb, directory};
use nearcast_service::http::{Body, Response};

use super::range::{self, Selection};
use super::respond::{self, Responder};
use crate::cache::object::Object;
use crate::cache::{Cache, Got, Source};
use crate::error::{Error, Result};
use crate::follow::Followers;
use crate::metrics;

/// Answers GET and HEAD of media paths.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) cache: Arc<Cache>,
    pub(super) followers: Arc<Followers>,
    pub(super) responder: Responder,
    pub(super) metrics: metrics::Serve,
}

impl Live {
    /// Answers a request. Whatever is in the cache costs one look by its path as it stands.
    pub(super) async fn answer(&self, path: &str, query: Option<&str>, headers: &HeaderMap) -> Response {
        if let Some(object) = self.cache.peek(path) {
            return self.object(&object, Source::Hit, headers);
        }
        let Ok(resource) = Resource::parse(path) else {
            return self.responder.error(&Error::NoRoute, NOT_FOUND_LIFE);
        };
        match resource {
            Resource::Multivariant { .. } | Resource::Manifest { .. } | Resource::Poster { .. } => {
                self.document(resource, path).await
            }
            Resource::Thumb { file: Thumb::Index, .. } => match self.locate(resource).await {
                Ok(()) => self.document(resource, path).await,
                Err(error) => self.responder.error(&error, NOT_FOUND_LIFE),
            },
            Resource::Media { .. } => self.playlist(resource, directory(path), query).await,
            Resource::IFrames { .. } => self.playlist(resource, path, query).await,
            Resource::Init { .. }
            | Resource::Segment { .. }
            | Resource::Part { .. }
            | Resource::Thumb { .. } => {
                let answer = self.media(resource, path, headers).await;
                answer.unwrap_or_else(|error| self.responder.error(&error, NOT_FOUND_LIFE))
            }
        }
    }

    /// What tells a player of a channel's renditions or pictures: small, and asked for again when it is too old.
    async fn document(&self, resource: Resource<'_>, path: &str) -> Response {
        match self.cache.get(resource, path).await {
            Ok((Got::Whole(object), source)) => self.responder.document(&object, Instant::now(), source),
            // Only segments are read while they grow.
            Ok((Got::Growing(_), _)) => self.responder.error(&Error::NotFound, NOT_FOUND_LIFE),
            Err(error) => self.responder.error(&error, NOT_FOUND_LIFE),
        }
    }

    /// A media playlist, now or as soon as it has what was asked for. Lifetimes are RFC 8216bis appendix B.1's.
    async fn playlist(&self, resource: Resource<'_>, directory: &str, query: Option<&str>) -> Response {
        let directives = match Directives::parse(query.unwrap_or_default()) {
            Ok(directives) => directives,
            Err(why) => return self.responder.error(&Error::Directives(why), NOT_FOUND_LIFE),
        };
        let asked = Instant::now();
        let located = if self.followers.follows(directory) { Ok(()) } else { self.locate(resource).await };
        let answer = match located {
            Ok(()) => self.followers.playlist(directory, &directives).await,
            Err(error) => Err(error),
        };
        let now = Instant::now();
        if directives.wait_for.is_some() {
            self.metrics.held_seconds.observe((now - asked).as_secs_f64());
        }
        match answer {
            Ok(snapshot) => {
                let target = snapshot.playlist.target_duration;
                let max_age = Duration::from_millis(directives.max_age_ms(target, true));
                let text = snapshot.text(&directives).clone();
                self.responder.playlist(text, max_age, snapshot.age(now), Source::Hit)
            }
            Err(error) => {
                let target = self.followers.snapshot(directory);
                let target = target.map_or(1, |snapshot| snapshot.playlist.target_duration);
                let keep = Duration::from_millis(directives.max_age_ms(target, false));
                self.responder.error(&error, keep)
            }
        }
    }

    async fn media(&self, resource: Resource<'_>, path: &str, headers: &HeaderMap) -> Result<Response> {
        if let Some(response) = self.known_from_following(resource, path, headers)? {
            return Ok(response);
        }
        self.locate(resource).await?;
        let (got, source) = match self.cache.get(resource, path).await {
            Err(error) if error.is_parents() && self.is_told_again(path).await => {
                // Another parent has it, or says that it is none.
                self.cache.prefetch(path);
                self.cache.get(resource, path).await.map_err(|again| match again {
                    Error::NotFound => again,
                    _ => error,
                })?
            }
            got => got?,
        };
        match got {
            Got::Whole(object) => Ok(self.object(&object, source, headers)),
            Got::Growing(growing) if headers.contains_key(RANGE) || headers.contains_key(IF_NONE_MATCH) => {
                // What part of it is meant is known when its length is.
                let object = growing.finished().await?;
                Ok(self.object(&object, source, headers))
            }
            Got::Growing(growing) => {
                let age = Instant::now().saturating_duration_since(growing.produced).as_secs();
                let body = Body::wrap(growing.reader());
                let mut response = self.responder.immutable(&growing.content_type, age, source, body);
                if let Some(length) = growing.length {
                    response.headers_mut().insert(CONTENT_LENGTH, length.into());
                }
                Ok(response)
            }
        }
    }

    /// Whether a playlist comes soon after a parent has failed with what the last one listed.
    async fn is_told_again(&self, path: &str) -> bool {
        self.followers.next(directory(path)).await.is_some()
    }

    /// What following the rendition tells: a whole segment is its parts in a row, and what lies far beyond the
    /// playlist's end does not exist.
    fn known_from_following(
        &self,
        resource: Resource<'_>,
        path: &str,
        headers: &HeaderMap,
    ) -> Result<Option<Response>> {
        let Some((_, _, File::Segment { msn } | File::Part { msn, .. })) = resource.within() else {
            return Ok(None);
        };
        let directory = directory(path);
        let Some(snapshot) = self.followers.snapshot(directory) else { return Ok(None) };
        // Two more than listed may have been announced elsewhere: this edge's view may be a little behind.
        if msn > snapshot.playlist.end().saturating_add(2) {
            return Err(Error::NotFound);
        }
        let Resource::Segment { .. } = resource else { return Ok(None) };
        let Some(count) = snapshot.parts_of(msn) else { return Ok(None) };
        let part = |part| self.cache.stored(&format!("{directory}/{}", File::Part { msn, part }));
        let Some(parts) = (0..count).map(part).collect::<Option<Vec<_>>>() else { return Ok(None) };
        let Some(last) = parts.last() else { return Ok(None) };
        self.cache.count_assembled();
        let chunks = parts.iter().map(|part| part.body.clone());
        let content_type = last.content_type.clone();
        Ok(Some(self.respond(
            chunks.collect(),
            &content_type,
            last.age(Instant::now()),
            Source::Hit,
            headers,
        )))
    }

    /// Makes sure that it is known where the channel is, or that it is nowhere.
    async fn locate(&self, resource: Resource<'_>) -> Result<()> {
        let channel = resource.channel();
        if self.cache.upstream().knows(channel) {
            return Ok(());
        }
        let multivariant = Resource::Multivariant { channel };
        self.cache.get(multivariant, &multivariant.to_string()).await.map(drop)
    }

    fn object(&self, object: &Object, source: Source, headers: &HeaderMap) -> Response {
        let age = object.age(Instant::now());
        if headers.is_empty() || !headers.contains_key(RANGE) && !headers.contains_key(IF_NONE_MATCH) {
            return self.responder.immutable(&object.content_type, age, source, object.body.clone().into());
        }
        self.respond(vec![object.body.clone()], &object.content_type, age, source, headers)
    }

    /// An immutable body in full or in part, or not at all when the client has it.
    fn respond(
        &self,
        chunks: Vec<bytes::Bytes>,
        content_type: &HeaderValue,
        age: u64,
        source: Source,
        headers: &HeaderMap,
    ) -> Response {
        if headers.get(IF_NONE_MATCH).is_some_and(respond::has_copy) {
            return self.responder.not_modified(age, source);
        }
        let length = chunks.iter().map(|chunk| chunk.len() as u64).sum();
        // A range of another version than this would be nonsense; there is none, but for a validator not ours.
        let same = headers.get(IF_RANGE).is_none_or(|tag| *tag == respond::IMMUTABLE_TAG);
        let selection = match headers.get(RANGE).filter(|_| same) {
            Some(range) => range::select(range.as_bytes(), length),
            None => Selection::Whole,
        };
        let (status, body, content_range) = match selection {
            Selection::Whole => (StatusCode::OK, Body::chunks(chunks), None),
            Selection::Part(range) => {
                let content_range = format!("bytes {}-{}/{length}", range.start, range.end - 1);
                (StatusCode::PARTIAL_CONTENT, Body::chunks(range::slice(&chunks, range)), Some(content_range))
            }
            Selection::Unsatisfiable => {
                (StatusCode::RANGE_NOT_SATISFIABLE, Body::empty(), Some(format!("bytes */{length}")))
            }
        };
        let mut response = self.responder.immutable(content_type, age, source, body);
        *response.status_mut() = status;
        if let Some(value) = content_range.and_then(|value| HeaderValue::try_from(value).ok()) {
            response.headers_mut().insert(CONTENT_RANGE, value);
        }
        response
    }
}

/// How long a 404 may be kept: what begins must be found.
const NOT_FOUND_LIFE: Duration = Duration::from_secs(1);
