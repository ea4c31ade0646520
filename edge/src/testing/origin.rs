//! An origin with one live channel, on a runtime of its own so that it can die at once.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::header::{AGE, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use nearcast_media::hls::media::Playlist;
use nearcast_media::hls::request::{Directives, Resolve};
use nearcast_media::path::{File, Resource};
use nearcast_media::{dash, hls};
use nearcast_service::daemon::Daemon;
use nearcast_service::http::{Body, Config, Request, Response, Server};
use nearcast_service::tls;
use tokio::runtime::Runtime;
use tokio::sync::{Semaphore, watch};

use super::{PARTS, i_frames, playlist};

/// Channel `demo`, broadcast `b1`, any rendition.
pub(crate) struct Origin {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    runtime: Option<Runtime>,
}

/// What is wrong with a path.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    /// Half of the body, then the connection breaks.
    Cut,
    /// Half of the body, and the rest once [`Origin::open_gate`] was called.
    Gate,
    /// As [`Fault::Gate`], of unknown length, as a segment that is being made; it may break instead.
    Grow {
        cut: bool,
    },
    Status(u16),
    /// It has been on the way for this many seconds.
    Aged(u64),
}

struct Shared {
    live: watch::Sender<Playlist>,
    hits: Mutex<BTreeMap<String, usize>>,
    faults: Mutex<HashMap<String, Fault>>,
    gate: Semaphore,
}

impl Origin {
    /// An origin whose playlist stands at `playlist(end, open)`.
    pub(crate) fn start(end: u64, open: u32) -> Self {
        let shared = Arc::new(Shared {
            live: watch::Sender::new(playlist(end, open)),
            hits: Mutex::default(),
            faults: Mutex::default(),
            gate: Semaphore::new(0),
        });
        let (address, runtime) = listen(([127, 0, 0, 1], 0).into(), &shared);
        Self { address, shared, runtime: Some(runtime) }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Every connection breaks, and none can be made.
    pub(crate) fn die(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Waits until the sockets are closed, which would block if it were done here.
            std::thread::spawn(move || drop(runtime)).join().unwrap();
        }
    }

    /// It is back, with what it had.
    pub(crate) fn revive(&mut self) {
        let (_, runtime) = listen(self.address, &self.shared);
        self.runtime = Some(runtime);
    }

    /// The next part is finished.
    pub(crate) fn publish(&self) {
        self.shared.live.send_modify(|live| {
            let (end, open) = (live.end(), live.open.as_ref().map_or(0, |open| open.parts.len() as u32) + 1);
            *live = if open == PARTS { playlist(end + 1, 0) } else { playlist(end, open) };
        });
    }

    pub(crate) fn end(&self) {
        self.shared.live.send_modify(|live| {
            *live = Playlist { ended: true, open: None, preload_hint: None, ..playlist(live.end(), 0) };
        });
    }

    pub(crate) fn set(&self, path: &str, fault: Option<Fault>) {
        let mut faults = self.shared.faults.lock().unwrap();
        match fault {
            Some(fault) => faults.insert(path.into(), fault),
            None => faults.remove(path),
        };
    }

    pub(crate) fn open_gate(&self) {
        self.shared.gate.add_permits(1);
    }

    /// Requests so far, by path and query.
    pub(crate) fn hits(&self) -> BTreeMap<String, usize> {
        self.shared.hits.lock().unwrap().clone()
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// The bytes of a media path: different for each, and large enough to come in pieces.
pub(crate) fn media(path: &str) -> Bytes {
    path.repeat(2_000).into()
}

fn listen(address: SocketAddr, shared: &Arc<Shared>) -> (SocketAddr, Runtime) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let shared = Arc::clone(shared);
    let started = runtime.spawn(async move {
        let config = Config { plain_listen: Some(address), ..Config::default() };
        let server = Server::bind(&config, &tls::Config::default(), &Daemon::new()).await.unwrap();
        let address = server.plain_address().unwrap();
        server.serve(move |request: Request| answer(Arc::clone(&shared), request.uri().clone())).unwrap();
        address
    });
    // The caller may be inside a runtime, which must not be blocked on another's task by `block_on`.
    let address = std::thread::scope(|scope| {
        scope.spawn(|| runtime.handle().block_on(started).unwrap()).join().unwrap()
    });
    (address, runtime)
}

async fn answer(shared: Arc<Shared>, uri: http::Uri) -> Response {
    let name = uri.path_and_query().unwrap().to_string();
    *shared.hits.lock().unwrap().entry(name).or_default() += 1;
    let fault = shared.faults.lock().unwrap().get(uri.path()).copied();
    if let Some(Fault::Status(status)) = fault {
        return status_only(StatusCode::from_u16(status).unwrap());
    }
    let mut response = match Resource::parse(uri.path()) {
        Ok(resource) if resource.channel() == "demo" && resource.within().is_none_or(|(b, ..)| b == "b1") => {
            resource_of(&shared, resource, &uri, fault).await
        }
        _ => status_only(StatusCode::NOT_FOUND),
    };
    if let Some(Fault::Aged(seconds)) = fault {
        response.headers_mut().insert(AGE, seconds.into());
    }
    response
}

async fn resource_of(
    shared: &Arc<Shared>,
    resource: Resource<'_>,
    uri: &http::Uri,
    fault: Option<Fault>,
) -> Response {
    let mut live = shared.live.subscribe();
    let file = resource.within().map(|(_, _, file)| file);
    let mut response = match file {
        None if matches!(resource, Resource::Manifest { .. }) => {
            let mut response = Response::new(Body::from("<MPD/>"));
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(dash::CONTENT_TYPE));
            response
        }
        None if matches!(resource, Resource::Poster { .. } | Resource::Thumb { .. }) => {
            body(shared, uri.path(), fault)
        }
        None => {
            let mut response =
                Response::new(Body::from("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nb1/source/media.m3u8\n"));
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(hls::CONTENT_TYPE));
            response
        }
        Some(file @ (File::Media | File::IFrames)) => {
            match Directives::parse(uri.query().unwrap_or_default()) {
                Ok(directives) => {
                    let asked_of = |live: &Playlist| match file {
                        File::IFrames => i_frames(live),
                        _ => live.clone(),
                    };
                    let done = |live: &Playlist| directives.resolve(&asked_of(live)) != Resolve::Wait;
                    let ready = asked_of(&live.wait_for(|live| done(live)).await.unwrap());
                    match directives.resolve(&ready) {
                        Resolve::BadRequest(_) => status_only(StatusCode::BAD_REQUEST),
                        Resolve::Now | Resolve::Wait => Response::new(Body::from(ready.render())),
                    }
                }
                Err(_) => status_only(StatusCode::BAD_REQUEST),
            }
        }
        Some(File::Init { .. }) => body(shared, uri.path(), fault),
        Some(File::Segment { msn }) if msn < live.borrow().end() => body(shared, uri.path(), fault),
        Some(File::Segment { .. }) => status_only(StatusCode::NOT_FOUND),
        Some(File::Part { msn, part }) => {
            let there = |live: &Playlist| {
                let open = live.open.as_ref().map_or(0, |open| open.parts.len() as u32);
                msn < live.end() || (msn == live.end() && part < open)
            };
            let hinted = |live: &Playlist| {
                let name = File::Part { msn, part }.to_string();
                live.preload_hint.as_ref().is_some_and(|hint| hint.uri == name)
            };
            let state = live.wait_for(|live| there(live) || !hinted(live)).await.unwrap();
            if there(&state) { body(shared, uri.path(), fault) } else { status_only(StatusCode::NOT_FOUND) }
        }
    };
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("max-age=60"));
    response
}

fn body(shared: &Arc<Shared>, path: &str, fault: Option<Fault>) -> Response {
    let whole = media(path);
    let length = whole.len();
    let half = whole.slice(..length / 2);
    let rest = whole.slice(length / 2..);
    let shared = Arc::clone(shared);
    let body = match fault {
        Some(Fault::Cut | Fault::Grow { cut: true }) => {
            let broken = stream::once(async move {
                shared.gate.acquire().await.unwrap().forget();
                Err(std::io::Error::other("cut"))
            });
            Body::stream(stream::iter([Ok(half)]).chain(broken))
        }
        Some(Fault::Gate | Fault::Grow { cut: false }) => {
            let late = stream::once(async move {
                shared.gate.acquire().await.unwrap().forget();
                Ok::<_, std::io::Error>(rest)
            });
            Body::stream(stream::iter([Ok(half)]).chain(late))
        }
        _ => Body::from(whole),
    };
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("video/mp4"));
    if !matches!(fault, Some(Fault::Grow { .. })) {
        response.headers_mut().insert(CONTENT_LENGTH, length.into());
    }
    response
}

fn status_only(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}
