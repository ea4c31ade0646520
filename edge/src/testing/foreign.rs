//! An HTTP origin that is not ours: it says byte by byte what a test has it say, and knows what it was asked.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

/// A running origin. Dropping it closes its connections.
pub(crate) struct Foreign {
    pub(crate) address: SocketAddr,
    asked: watch::Sender<Vec<Asked>>,
    gate: Arc<Semaphore>,
    _tasks: JoinSet<()>,
}

/// A request as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// How many were asked before.
    pub(crate) count: usize,
}

/// What is done to answer, one after the other.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Send(Bytes),
    /// Until [`Foreign::open_gate`].
    Gate,
    /// Never goes on.
    Stall,
    Close,
    /// Until the other side goes away.
    Endless,
}

impl Foreign {
    pub(crate) async fn start(script: impl Fn(&Asked) -> Vec<Step> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (asked, gate) = (watch::Sender::default(), Arc::new(Semaphore::new(0)));
        let script = Arc::new(script);
        let mut tasks = JoinSet::new();
        let (log, gates) = (asked.clone(), Arc::clone(&gate));
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (script, log, gates) = (Arc::clone(&script), log.clone(), Arc::clone(&gates));
                connections.spawn(async move {
                    let _gone = converse(stream, &*script, &log, &gates).await;
                });
            }
        });
        Self { address, asked, gate, _tasks: tasks }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.borrow().clone()
    }

    pub(crate) fn count(&self) -> usize {
        self.asked.borrow().len()
    }

    /// Returns once it was asked so often.
    pub(crate) async fn until_asked(&self, count: usize) {
        self.asked.subscribe().wait_for(|asked| asked.len() >= count).await.unwrap();
    }

    pub(crate) fn open_gate(&self) {
        self.gate.add_permits(1);
    }
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// A whole answer.
pub(crate) fn reply(status: u16, headers: &[(&str, &str)], body: &str) -> Vec<Step> {
    vec![head(status, headers, Some(body.len())), Step::Send(Bytes::copy_from_slice(body.as_bytes()))]
}

/// The head of an answer of this length.
pub(crate) fn head(status: u16, headers: &[(&str, &str)], length: Option<usize>) -> Step {
    let mut text = format!("HTTP/1.1 {status} Said\r\n");
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    text += &length.map_or_else(
        || "transfer-encoding: chunked\r\n\r\n".into(),
        |n| format!("content-length: {n}\r\n\r\n"),
    );
    Step::Send(text.into())
}

async fn converse(
    mut stream: TcpStream,
    script: &(dyn Fn(&Asked) -> Vec<Step> + Send + Sync),
    log: &watch::Sender<Vec<Asked>>,
    gate: &Semaphore,
) -> std::io::Result<()> {
    loop {
        let Some(mut asked) = read(&mut stream).await? else { return Ok(()) };
        log.send_modify(|log| {
            asked.count = log.len();
            log.push(asked.clone());
        });
        for step in script(&asked) {
            match step {
                Step::Send(bytes) => stream.write_all(&bytes).await?,
                Step::Gate => gate.acquire().await.unwrap().forget(),
                Step::Stall => std::future::pending().await,
                Step::Close => return Ok(()),
                Step::Endless => loop {
                    stream.write_all(b"4000\r\n").await?;
                    stream.write_all(&[b'x'; 0x4000]).await?;
                    stream.write_all(b"\r\n").await?;
                },
            }
        }
    }
}

async fn read(stream: &mut TcpStream) -> std::io::Result<Option<Asked>> {
    let (mut data, mut buffer) = (Vec::new(), [0; 4096]);
    let end = loop {
        if let Some(end) = data.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        match stream.read(&mut buffer).await? {
            0 => return Ok(None),
            got => data.extend_from_slice(&buffer[..got]),
        }
    };
    let text = String::from_utf8_lossy(&data[..end]).into_owned();
    let mut lines = text.lines();
    let mut first = lines.next().unwrap_or_default().split(' ');
    let (method, target) =
        (first.next().unwrap_or_default().to_owned(), first.next().unwrap_or_default().to_owned());
    let mut headers = HeaderMap::new();
    for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
        headers.append(name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap());
    }
    let length = headers.get("content-length").map_or(0, |value| value.to_str().unwrap().parse().unwrap());
    let mut body = data.split_off(end);
    while body.len() < length {
        match stream.read(&mut buffer).await? {
            0 => return Ok(None),
            got => body.extend_from_slice(&buffer[..got]),
        }
    }
    Ok(Some(Asked { method, target, headers, body: body.into(), count: 0 }))
}
