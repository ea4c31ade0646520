//! The origin of a comparison: objects of known sizes, misses that take a while, broadcasts that go on when told to;
//! and how often each was fetched.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::live;

/// The playlist of a broadcast that has ended: about 1 KB, and the same for ever.
pub const PLAYLIST: &str = "/live/bench/b1/source/media.m3u8";
/// 1 MiB.
pub const SEGMENT: &str = "/live/bench/b1/source/0.m4s";
/// 100 KiB, a part of half a second at 1.6 Mbit/s.
pub const PART: &str = "/live/bench/b1/source/1.m4s";
/// An edge of ours asks for this one to learn which origin has the channel.
const CHANNEL: &str = "/live/bench/index.m3u8";
/// Under it every name is an object that begins to come after [`COLD_TIME`].
const COLD: &str = "/live/bench/b1/audio/";
/// Of a part (the first of its segment) that is asked for with [`Feeder::cold`].
pub const PART_ENDING: &str = ".0.m4s";
/// Of a segment.
pub const SEGMENT_ENDING: &str = ".m4s";
/// Half a second of sound: a part, which comes at once.
const COLD_PART: usize = 10 << 10;
/// A segment comes in so many pieces of [`PIECE`], one every [`PIECE_TIME`]: 4 Mbit/s.
const PIECES: usize = 16;
const PIECE: usize = 16 << 10;
const PIECE_TIME: Duration = Duration::from_millis(32);
/// An origin that is far away. It is long enough for a thousand requests to arrive while the first is being answered.
const COLD_TIME: Duration = Duration::from_millis(100);

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// A running origin. Dropping it stops it.
#[derive(Debug)]
pub struct Feeder {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

#[derive(Debug)]
struct Shared {
    objects: HashMap<&'static str, Object>,
    fetched: watch::Sender<HashMap<String, Fetched>>,
    /// How many parts each broadcast has.
    live: Mutex<HashMap<String, watch::Sender<u64>>>,
}

#[derive(Debug, Clone)]
struct Object {
    kind: &'static str,
    cache: &'static str,
    body: Bytes,
}

/// What is known of the fetches of one URL.
#[derive(Debug, Clone, Copy, Default)]
pub struct Fetched {
    pub count: usize,
    /// When the first of them began to be answered.
    pub answered: Option<Instant>,
}

impl Feeder {
    /// Serves on `address`.
    pub async fn start(address: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(address).await.context("binding the origin")?;
        let shared = Arc::new(Shared {
            objects: objects(),
            fetched: watch::Sender::default(),
            live: Mutex::default(),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self { address, shared, _tasks: tasks })
    }

    /// Bytes of the object at `path`.
    pub fn size(&self, path: &str) -> Option<usize> {
        self.shared.objects.get(path).map(|object| object.body.len())
    }

    /// Puts the objects into `folder`, for a server of files.
    pub fn store(&self, folder: &Path) -> Result<()> {
        for (path, object) in &self.shared.objects {
            let file = folder.join(path.trim_start_matches('/'));
            std::fs::create_dir_all(file.parent().unwrap_or(folder))?;
            std::fs::write(file, &object.body)?;
        }
        Ok(())
    }

    /// What is known of `url`, a path with its query.
    pub fn fetched(&self, url: &str) -> Fetched {
        self.shared.fetched.borrow().get(url).copied().unwrap_or_default()
    }

    /// Returns once somebody has asked for `url`.
    pub async fn until_fetched(&self, url: &str) {
        let mut fetched = self.shared.fetched.subscribe();
        // It cannot end as long as there is a feeder.
        let _asked = fetched.wait_for(|fetched| fetched.contains_key(url)).await;
    }

    /// The name of an object that nobody has yet: a part or a segment, as `ending` says.
    pub fn cold(&self, number: usize, ending: &str) -> String {
        format!("{COLD}{number}{ending}")
    }

    /// Adds a part to a broadcast; says when.
    pub fn publish(&self, broadcast: &str) -> Instant {
        self.shared.live(broadcast).send_modify(|parts| *parts += 1);
        Instant::now()
    }

    /// Where a broadcast's playlist is, and with the query that waits for the next part.
    pub fn waiting(&self, broadcast: &str) -> (String, String) {
        let parts = *self.shared.live(broadcast).borrow();
        let path = format!("/live/bench/{broadcast}/source/media.m3u8");
        let query = format!("_HLS_msn={}&_HLS_part={}", parts / live::PARTS, parts % live::PARTS);
        let blocking = format!("{path}?{query}");
        (path, blocking)
    }
}

impl Shared {
    fn note(&self, url: &str, change: impl FnOnce(&mut Fetched)) {
        self.fetched.send_modify(|fetched| change(fetched.entry(url.into()).or_default()));
    }

    fn live(&self, broadcast: &str) -> watch::Sender<u64> {
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        live.entry(broadcast.into()).or_insert_with(|| watch::channel(live::BEGIN).0).clone()
    }

    async fn answer(&self, request: &Request<Incoming>) -> Response<Body> {
        let (path, query) = (request.uri().path(), request.uri().query().unwrap_or_default());
        let url = request.uri().path_and_query().map_or(path, |url| url.as_str());
        self.note(url, |fetched| fetched.count += 1);
        let object = self.object(path, query).await;
        self.note(url, |fetched| _ = fetched.answered.get_or_insert_with(Instant::now));
        let Some(Object { kind, cache, body }) = object else {
            let mut missing = Response::new(Full::default().boxed_unsync());
            *missing.status_mut() = StatusCode::NOT_FOUND;
            return missing;
        };
        let length = body.len();
        let slow = path.starts_with(COLD) && length > COLD_PART;
        let body = if slow { slowly(body) } else { Full::from(body).boxed_unsync() };
        let mut response = Response::new(body);
        response.headers_mut().insert("content-length", length.into());
        response.headers_mut().insert("content-type", HeaderValue::from_static(kind));
        response.headers_mut().insert("cache-control", HeaderValue::from_static(cache));
        response
    }

    async fn object(&self, path: &str, query: &str) -> Option<Object> {
        if let Some(object) = self.objects.get(path) {
            return Some(object.clone());
        }
        if path.starts_with(COLD) {
            sleep(COLD_TIME).await;
            let part = path.ends_with(PART_ENDING);
            return Some(media(if part { COLD_PART } else { PIECES * PIECE }));
        }
        let (broadcast, file) = path.strip_prefix("/live/bench/")?.split_once("/source/")?;
        let mut parts = self.live(broadcast).subscribe();
        let wanted = live::wanted(file, query)?;
        // As an origin must: what is asked for ahead of time is held until it is there.
        let parts = *parts.wait_for(|parts| *parts > wanted).await.ok()?;
        if file == live::PLAYLIST {
            let cache = if query.is_empty() { "public, max-age=1" } else { "public, max-age=12" };
            let body = live::playlist(parts).into();
            return Some(Object { kind: "application/vnd.apple.mpegurl", cache, body });
        }
        Some(media(COLD_PART))
    }
}

/// Piece by piece.
fn slowly(body: Bytes) -> Body {
    let whole = body.len();
    let pieces = stream::unfold(body, move |mut rest| async move {
        if rest.is_empty() {
            return None;
        }
        if rest.len() < whole {
            sleep(PIECE_TIME).await;
        }
        let piece = rest.split_to(PIECE.min(rest.len()));
        Some((Ok(Frame::data(piece)), rest))
    });
    StreamBody::new(pieces).boxed_unsync()
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        let service = service_fn(move |request| {
            let shared = Arc::clone(&shared);
            async move { Ok::<_, Infallible>(shared.answer(&request).await) }
        });
        let connection =
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        connections.spawn(async move { drop(connection.await) });
    }
}

fn objects() -> HashMap<&'static str, Object> {
    let text = |body: String| Object {
        kind: "application/vnd.apple.mpegurl",
        cache: "public, max-age=3600",
        body: body.into(),
    };
    let channel = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1600000\nb1/source/media.m3u8\n";
    HashMap::from([
        (PLAYLIST, text(live::ended())),
        (CHANNEL, text(channel.into())),
        (SEGMENT, media(1 << 20)),
        (PART, media(100 << 10)),
    ])
}

fn media(size: usize) -> Object {
    Object { kind: "video/mp4", cache: "public, max-age=31536000, immutable", body: vec![7; size].into() }
}

#[cfg(test)]
mod tests {
    use nearcast_tests::client::{Client, Protocol};
    use nearcast_tests::ports::Ports;

    use super::*;

    #[tokio::test]
    async fn a_playlist_request_is_held_until_its_part_is_published() {
        let ports = Ports::claim().unwrap();
        let feeder = Feeder::start(([127, 0, 0, 1], ports.take().unwrap()).into()).await.unwrap();
        let base = format!("http://{}", feeder.address);
        let client = Client::connect(&base, Protocol::H1, &rustls::RootCertStore::empty()).await.unwrap();
        let (path, blocking) = feeder.waiting("b2");
        let before = client.get(&path).await.unwrap().expect(200).unwrap();
        let publish = async {
            while feeder.fetched(&blocking).count == 0 {
                tokio::task::yield_now().await;
            }
            assert!(feeder.fetched(&blocking).answered.is_none());
            feeder.publish("b2")
        };
        let (after, published) = tokio::join!(client.get(&blocking), publish);
        let after = after.unwrap().expect(200).unwrap();
        assert!(after.body != before.body && feeder.fetched(&blocking).answered.unwrap() >= published);
        for (ending, size) in [(PART_ENDING, COLD_PART), (SEGMENT_ENDING, PIECES * PIECE)] {
            let cold = feeder.cold(1, ending);
            let reply = client.get(&cold).await.unwrap().expect(200).unwrap();
            assert_eq!((reply.body.len(), feeder.fetched(&cold).count), (size, 1));
        }
    }
}
