//! One edge on core 0 with one worker, before an origin that holds objects of known sizes.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::Result;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use nearcast_tests::certificate::Certificate;
use nearcast_tests::client::{Client, Protocol};
use nearcast_tests::ports::Ports;
use nearcast_tests::process::{Process, Program};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// The playlist of a broadcast that has ended: about 1 KB, and the same for ever.
pub const PLAYLIST: &str = "/live/bench/b1/source/media.m3u8";
const CHANNEL: &str = "/live/bench/index.m3u8";
/// 1 MiB.
pub const SEGMENT: &str = "/live/bench/b1/source/0.m4s";
/// 100 KiB, a part of half a second at 1.6 Mbit/s.
pub const PART: &str = "/live/bench/b1/source/1.m4s";

/// What is measured. Dropping it stops everything.
#[derive(Debug)]
pub struct Stage {
    pub edge: Process,
    pub certificate: Certificate,
    /// Base URLs.
    pub https: String,
    pub plain: String,
    _origin: JoinSet<()>,
    _ports: Ports,
}

impl Stage {
    /// Starts both; state and logs go to `folder`.
    pub async fn start(folder: &Path) -> Result<Self> {
        let ports = Ports::claim()?;
        let local = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let (https, plain, ops) = (local(ports.take()?), local(ports.take()?), local(ports.take()?));
        let upstream = local(ports.take()?);
        let origin = origin(TcpListener::bind(upstream).await?);
        let certificate = Certificate::create(folder, &["127.0.0.1"])?;
        let config = format!(
            "[http]\nlisten = \"{https}\"\nplain_listen = \"{plain}\"\n\
             [tls]\ncertificate = {:?}\nkey = {:?}\n\
             [upstream]\norigins = [\"http://{upstream}\"]\n\
             [control]\nurl = \"\"\nsnapshot = \"\"\n\
             [ops]\nlisten = \"{ops}\"\n\
             [log]\nlevel = \"warn\"\n",
            certificate.certificate, certificate.key
        );
        let file = folder.join("edge.toml");
        std::fs::write(&file, config)?;
        let mut edge = Program::ours("nearcast-edge")?
            .args(["--config".to_owned(), file.to_string_lossy().into_owned()])
            // One core makes one worker.
            .under(&["taskset", "--cpu-list", "0"])
            .start(folder)?;
        edge.ready(ops).await?;
        let stage = Self {
            edge,
            certificate,
            https: format!("https://{https}"),
            plain: format!("http://{plain}"),
            _origin: origin,
            _ports: ports,
        };
        stage.warm().await?;
        Ok(stage)
    }

    /// Bytes of the object at `path`, which the edge holds from now on.
    pub async fn size(&self, path: &str) -> Result<usize> {
        let client = Client::connect(&self.plain, Protocol::H1, &self.certificate.roots).await?;
        Ok(client.get(path).await?.expect(200)?.body.len())
    }

    async fn warm(&self) -> Result<()> {
        for path in [PLAYLIST, SEGMENT, PART] {
            self.size(path).await?;
        }
        Ok(())
    }
}

fn origin(listener: TcpListener) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let service = service_fn(|request| async move { Ok::<_, Infallible>(answer(&request)) });
            let connection =
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            connections.spawn(async move { drop(connection.await) });
        }
    });
    tasks
}

fn answer(request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let media = |len| (StatusCode::OK, "video/mp4", "public, max-age=31536000, immutable", vec![7; len]);
    let (status, kind, cache, body) = match request.uri().path() {
        PLAYLIST => (StatusCode::OK, "application/vnd.apple.mpegurl", "public, max-age=3600", playlist()),
        // An edge asks for this one to learn which origin has the channel.
        CHANNEL => (StatusCode::OK, "application/vnd.apple.mpegurl", "public, max-age=3600", channel()),
        SEGMENT => media(1 << 20),
        PART => media(100 << 10),
        _ => (StatusCode::NOT_FOUND, "text/plain", "public, max-age=4", Vec::new()),
    };
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert("content-type", http::HeaderValue::from_static(kind));
    headers.insert("cache-control", http::HeaderValue::from_static(cache));
    response
}

fn channel() -> Vec<u8> {
    b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1600000\nb1/source/media.m3u8\n".to_vec()
}

fn playlist() -> Vec<u8> {
    let head = "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:2\n\
                #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.5,CAN-SKIP-UNTIL=12\n\
                #EXT-X-PART-INF:PART-TARGET=0.5\n#EXT-X-MEDIA-SEQUENCE:0\n#EXT-X-MAP:URI=\"init.mp4\"\n";
    let segment = |msn| {
        format!("#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:{:02}.000Z\n#EXTINF:2.0,\n{msn}.m4s\n", msn * 2)
    };
    let segments: String = (0..12).map(segment).collect();
    format!("{head}{segments}#EXT-X-ENDLIST\n").into_bytes()
}
