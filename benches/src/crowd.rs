//! Many clients that ask for one thing at once over HTTP/1.1, as light as clients can be, and when each was answered.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Open connections to one server.
#[derive(Debug)]
pub struct Crowd {
    connections: Vec<TcpStream>,
    address: SocketAddr,
}

/// When a client asked and was answered.
#[derive(Debug, Clone, Copy)]
pub struct Answer {
    pub asked: Instant,
    pub first_byte: Instant,
    pub last_byte: Instant,
}

impl Crowd {
    /// Connects `count` clients.
    pub async fn connect(address: SocketAddr, count: usize) -> Result<Self> {
        let mut connections = Vec::with_capacity(count);
        for _ in 0..count {
            let stream =
                TcpStream::connect(address).await.with_context(|| format!("connecting to {address}"))?;
            stream.set_nodelay(true)?;
            connections.push(stream);
        }
        Ok(Self { connections, address })
    }

    /// Everybody asks for `url` (a path with its query) and reads the answer, which has to be good.
    pub async fn ask(&mut self, url: &str) -> Result<Vec<Answer>> {
        let request = format!("GET {url} HTTP/1.1\r\nHost: {}\r\n\r\n", self.address);
        let request = Bytes::from(request);
        let mut asking = JoinSet::new();
        for stream in self.connections.drain(..) {
            let request = request.clone();
            asking.spawn(async move { timeout(PATIENCE, ask(stream, request)).await });
        }
        let mut answers = Vec::with_capacity(asking.len());
        while let Some(one) = asking.join_next().await {
            let one = one?.with_context(|| format!("no answer to {url} after {PATIENCE:?}"))?;
            let (stream, answer) = one.with_context(|| format!("asking for {url}"))?;
            self.connections.push(stream);
            answers.push(answer);
        }
        Ok(answers)
    }
}

async fn ask(mut stream: TcpStream, request: Bytes) -> Result<(TcpStream, Answer)> {
    let asked = Instant::now();
    stream.write_all(&request).await?;
    let mut buffer = [0; 16 << 10];
    let (mut filled, mut first_byte, mut expected) = (0, None, None);
    // Only the header is kept; of the body, the length is what counts.
    let mut total = 0_usize;
    loop {
        let Some(room) = buffer.get_mut(filled..) else { bail!("a header without end") };
        let read = stream.read(room).await?;
        ensure!(read > 0, "the connection was closed after {total} bytes");
        first_byte.get_or_insert_with(Instant::now);
        total += read;
        if expected.is_none() {
            filled += read;
            expected = whole(buffer.get(..filled).unwrap_or_default())?;
        }
        if let Some(expected) = expected {
            filled = 0;
            ensure!(total <= expected, "{total} bytes instead of {expected}");
            if total == expected {
                break;
            }
        }
    }
    let last_byte = Instant::now();
    Ok((stream, Answer { asked, first_byte: first_byte.unwrap_or(last_byte), last_byte }))
}

/// Bytes of the whole answer, header and body, once its header is in `text`.
fn whole(text: &[u8]) -> Result<Option<usize>> {
    let Some(end) = text.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let header = std::str::from_utf8(text.get(..end).unwrap_or_default())?;
    ensure!(header.starts_with("HTTP/1.1 200"), "answered {header}");
    let fields = header.lines().filter_map(|line| line.split_once(':'));
    let mut lengths = fields.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let (_, length) = lengths.next().with_context(|| format!("no length in {header}"))?;
    Ok(Some(end + 4 + length.trim().parse::<usize>()?))
}

/// A server that leaves a client alone for so long has failed.
const PATIENCE: Duration = Duration::from_secs(40);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_when_its_length_is_there() {
        let header = "HTTP/1.1 200 OK\r\ncontent-LENGTH: 5\r\n\r\n";
        assert_eq!(whole(header.as_bytes()).unwrap(), Some(header.len() + 5));
        assert_eq!(whole(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n").unwrap(), None);
        assert!(whole(b"HTTP/1.1 503 No\r\nContent-Length: 5\r\n\r\n").is_err());
        assert!(whole(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }
}
