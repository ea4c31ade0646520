//! What attackers send, as bytes: no client library would.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use nearcast_tests::client::{Protocol, raw};
use rustls::RootCertStore;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Connections that send a header a byte at a time (slow loris). They must be closed.
pub(super) async fn slow_headers(at: SocketAddr, count: usize) -> Result<()> {
    let mut all = JoinSet::new();
    for _ in 0..count {
        all.spawn(async move {
            let mut stream = TcpStream::connect(at).await?;
            stream.write_all(b"GET /live/demo/index.m3u8 HTTP/1.1\r\nHost: a\r\nX: ").await?;
            let (mut read, mut write) = stream.split();
            let trickle = async {
                while write.write_all(b"x").await.is_ok() {
                    // Slowness is the attack.
                    tokio::time::sleep(Duration::from_millis(300)).await;
                }
            };
            let mut answer = Vec::new();
            tokio::select! {
                () = trickle => {}
                _ = read.read_to_end(&mut answer) => {}
            }
            anyhow::Ok(())
        });
    }
    let closed = timeout(LIMIT, all.join_all()).await.context("slow connections stay open")?;
    closed.into_iter().collect()
}

/// A header that never ends. It must be refused, or the connection closed.
pub(super) async fn endless_header(at: SocketAddr) -> Result<()> {
    let mut stream = TcpStream::connect(at).await?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nX: ").await?;
    let answer = flood(stream, &[b'x'; 4096], 10_000).await?;
    ensure!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"), "{:?}", String::from_utf8_lossy(&answer));
    Ok(())
}

/// A URL of so many bytes.
pub(super) async fn long_url(at: SocketAddr, length: usize) -> Result<()> {
    let mut stream = TcpStream::connect(at).await?;
    stream.write_all(b"GET /live/").await?;
    let answer = flood(stream, &vec![b'a'; length], 1).await?;
    ensure!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"), "{:?}", String::from_utf8_lossy(&answer));
    Ok(())
}

/// Requests that are taken back at once (CVE-2023-44487). The connection must be closed.
pub(super) async fn rapid_reset(at: SocketAddr, roots: &RootCertStore, count: u32) -> Result<()> {
    let mut bytes = Vec::new();
    for stream in (0..count).map(|at| 2 * at + 1) {
        bytes.extend(headers(stream, REQUEST, END_STREAM | END_HEADERS));
        bytes.extend(frame(RST_STREAM, 0, stream, &8u32.to_be_bytes()));
    }
    let answer = flood(begin(at, roots).await?, &bytes, 1).await?;
    ensure!(kinds(&answer).contains(&GOAWAY), "the connection stays open");
    Ok(())
}

/// Requests that make the server reset them (CVE-2025-8671): window updates of nothing. The connection must be closed.
pub(super) async fn made_you_reset(at: SocketAddr, roots: &RootCertStore, count: u32) -> Result<()> {
    let mut bytes = Vec::new();
    for stream in (0..count).map(|at| 2 * at + 1) {
        bytes.extend(headers(stream, REQUEST, END_STREAM | END_HEADERS));
        bytes.extend(frame(WINDOW_UPDATE, 0, stream, &0u32.to_be_bytes()));
    }
    let answer = flood(begin(at, roots).await?, &bytes, 1).await?;
    ensure!(kinds(&answer).contains(&GOAWAY), "the connection stays open");
    Ok(())
}

/// A header block that never ends (CVE-2024-27316). The connection must be closed.
pub(super) async fn endless_continuation(at: SocketAddr, roots: &RootCertStore) -> Result<()> {
    let mut stream = begin(at, roots).await?;
    stream.write_all(&headers(1, REQUEST, END_STREAM)).await?;
    // Literal header fields without indexing: `x` with 100 bytes.
    let field = [&[0, 1, b'x', 100][..], &[b'y'; 100]].concat();
    let answer = flood(stream, &frame(CONTINUATION, 0, 1, &field.repeat(100)), 2_000).await?;
    ensure!(kinds(&answer).contains(&GOAWAY) || answer.is_empty(), "the connection stays open");
    Ok(())
}

/// A header of 4 KB in the dynamic table, and requests that name it a thousand times each (CVE-2016-6581).
pub(super) async fn header_bomb(at: SocketAddr, roots: &RootCertStore, count: u32) -> Result<()> {
    let mut stream = begin(at, roots).await?;
    // Literal with incremental indexing: `x` with 3,900 bytes, whose length takes three bytes (RFC 7541 §5.1).
    let entry = [&[0x40, 1, b'x', 127, 0xbd, 0x1d][..], &[b'y'; 3_900]].concat();
    let bomb = [REQUEST, &entry, &[0xbe; 1_000]].concat();
    stream.write_all(&headers(1, &bomb, END_STREAM | END_HEADERS)).await?;
    let again = [REQUEST, &[0xbe; 4_000]].concat();
    let mut bytes = Vec::new();
    for at in 1..count {
        bytes.extend(headers(2 * at + 1, &again, END_STREAM | END_HEADERS));
    }
    let answer = flood(stream, &bytes, 1).await?;
    ensure!(kinds(&answer).contains(&GOAWAY) || answer.is_empty(), "the connection stays open");
    Ok(())
}

/// `count` different names that do not exist, each asked for once, many at a time.
pub(super) async fn missing_names(at: SocketAddr, pattern: &'static str, count: usize) -> Result<()> {
    let mut all = JoinSet::new();
    for connection in 0..CONNECTIONS {
        all.spawn(async move {
            let mut stream = TcpStream::connect(at).await?;
            let (mut read, mut write) = stream.split();
            let asked = async {
                for name in (connection..count).step_by(CONNECTIONS) {
                    let path = pattern.replace("{}", &name.to_string());
                    let close = if name + CONNECTIONS >= count { "Connection: close\r\n" } else { "" };
                    let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\n{close}\r\n");
                    write.write_all(request.as_bytes()).await?;
                }
                anyhow::Ok(())
            };
            let answered = async {
                let mut found = 0;
                let mut buffer = vec![0; 65_536];
                loop {
                    let length = read.read(&mut buffer).await?;
                    if length == 0 {
                        return anyhow::Ok(found);
                    }
                    found += buffer[..length].windows(12).filter(|text| *text == b"HTTP/1.1 200").count();
                }
            };
            let ((), found) = tokio::try_join!(asked, answered)?;
            ensure!(found == 0, "{found} names exist");
            Ok(())
        });
    }
    all.join_all().await.into_iter().collect()
}

/// Sends `bytes` so many times, at most until the other side closes, which it must. Gives what it has said.
async fn flood(stream: impl AsyncRead + AsyncWrite, bytes: &[u8], times: usize) -> Result<Vec<u8>> {
    let (mut read, mut write) = tokio::io::split(stream);
    let mut answer = Vec::new();
    let send = async {
        for _ in 0..times {
            if write.write_all(bytes).await.is_err() {
                break;
            }
        }
    };
    let receive = async {
        // It may end in a reset.
        let _ended = read.read_to_end(&mut answer).await;
    };
    let both = async { tokio::join!(send, receive) };
    timeout(LIMIT, both).await.context("an attacker is never cut off")?;
    Ok(answer)
}

/// An HTTP/2 connection after the client's preface and settings.
async fn begin(at: SocketAddr, roots: &RootCertStore) -> Result<impl AsyncRead + AsyncWrite + Unpin> {
    let mut stream = raw(at, Protocol::H2, roots).await?;
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await?;
    stream.write_all(&frame(SETTINGS, 0, 0, &[])).await?;
    Ok(stream)
}

/// A frame (RFC 9113 §4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

fn headers(stream: u32, block: &[u8], flags: u8) -> Vec<u8> {
    frame(HEADERS, flags, stream, block)
}

/// The kinds of the frames in `bytes`.
fn kinds(mut bytes: &[u8]) -> Vec<u8> {
    let mut kinds = Vec::new();
    while let [a, b, c, kind, rest @ ..] = bytes {
        kinds.push(*kind);
        let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
        bytes = rest.get(5 + length..).unwrap_or_default();
    }
    kinds
}

/// `GET https://a/` in HPACK: three of the static table, and `:authority` as a literal.
const REQUEST: &[u8] = &[0x82, 0x87, 0x84, 0x41, 1, b'a'];
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const CONNECTIONS: usize = 8;
const LIMIT: Duration = Duration::from_secs(20);
