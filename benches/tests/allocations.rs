//! How often memory is allocated for one hit: the counts are what they are today, so that whoever adds one notices.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use allocation_counter::measure;
use nearcast_benches::feeder::{Feeder, PART, PLAYLIST};
use nearcast_benches::handler::{Handler, request};
use nearcast_benches::site::local;
use nearcast_service::daemon::Daemon;
use nearcast_tests::ports::Ports;

#[test]
fn a_hit_allocates_next_to_nothing() {
    let handler = Handler::new().unwrap();
    for (url, range, most) in [
        (PART.to_owned(), None, 5),
        (PART.to_owned(), Some("bytes=0-99"), 8),
        (PLAYLIST.to_owned(), None, 3),
        (format!("{PLAYLIST}?_HLS_skip=YES"), None, 3),
    ] {
        handler.warm(&url).unwrap();
        let hit = || {
            let mut request = request(&url).unwrap();
            if let Some(range) = range {
                request.headers_mut().insert("range", range.parse().unwrap());
            }
            measure(|| drop(handler.hit(request).unwrap())).count_total
        };
        // The cache tidies up in passing, now and then.
        let count = (0..10).map(|_| hit()).min().unwrap();
        assert!(count <= most, "{url} {range:?}: {count} allocations, {most} before");
    }
}

/// Everything on the way from one read of the socket to the next.
#[test]
fn a_request_on_a_connection_allocates_little() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let ports = Ports::claim().unwrap();
    let (origin, plain) = (local(ports.take().unwrap()), local(ports.take().unwrap()));
    // The origin has a thread of its own: only the edge's is counted.
    let elsewhere = tokio::runtime::Runtime::new().unwrap();
    let _feeder = elsewhere.block_on(Feeder::start(origin)).unwrap();
    let mut config = nearcast_edge::Config::default();
    config.http.listen = None;
    config.http.workers = Some(0);
    config.http.plain_listen = Some(plain);
    config.control.url = String::new();
    config.control.snapshot = std::path::PathBuf::new();
    config.upstream.origins = vec![format!("http://{origin}")];
    runtime.block_on(nearcast_edge::run(config, Daemon::new())).unwrap();
    for (path, most) in [(PART, 9), (PLAYLIST, 9)] {
        let requests = |count| {
            let asking = elsewhere.spawn_blocking(move || ask(plain, path, count));
            runtime.block_on(asking).unwrap();
        };
        requests(10);
        let few = measure(|| requests(100)).count_total;
        let many = measure(|| requests(1100)).count_total;
        let each = (many - few) / 1000;
        assert!(each <= most, "{path}: {each} allocations for a request, {most} before");
    }
}

/// One client, one request after the other.
fn ask(server: SocketAddr, path: &str, count: usize) {
    let mut stream = TcpStream::connect(server).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: edge\r\nUser-Agent: test\r\n\r\n");
    let mut buffer = vec![0; 1 << 20];
    for _ in 0..count {
        stream.write_all(request.as_bytes()).unwrap();
        let mut filled = 0;
        loop {
            let read = stream.read(&mut buffer[filled..]).unwrap();
            assert!(read > 0, "the connection ended");
            filled += read;
            let text = String::from_utf8_lossy(&buffer[..filled]).to_lowercase();
            let Some((header, _)) = text.split_once("\r\n\r\n") else { continue };
            assert!(header.starts_with("http/1.1 200"), "{header}");
            let (_, length) = header.split_once("content-length: ").unwrap();
            let length: usize = length.lines().next().unwrap().parse().unwrap();
            if filled == header.len() + 4 + length {
                break;
            }
        }
    }
}
