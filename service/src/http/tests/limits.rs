//! What a client cannot do to a server.

use ::h3::error::Code;
use bytes::Buf;
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::super::*;
use super::harness::{World, connect};
use super::{LARGE, echo};
use crate::daemon::Daemon;
use crate::tls;

#[tokio::test(start_paused = true)]
async fn headers_that_trickle_are_cut_off() {
    let daemon = Daemon::new();
    let config = Config { plain_listen: "127.0.0.1:0".parse().ok(), ..Config::default() };
    let server = Server::bind(&config, &tls::Config::default(), &daemon).await.unwrap();
    let address = server.plain_address().unwrap();
    server.serve(echo).unwrap();
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nx-slow: ").await.unwrap();
    let started = tokio::time::Instant::now();
    let mut answer = Vec::new();
    // A close or a reset, but no answer.
    let _either = client.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP/1.1 200"));
    assert!(started.elapsed() <= config.idle_timeout() * 2);
}

#[tokio::test]
async fn headers_beyond_the_limit_are_refused_by_all_protocols() {
    let world = World::start(echo).await;
    let mut client = TcpStream::connect(world.plain).await.unwrap();
    let long = "x".repeat(64 << 10);
    // The server may answer and close before it has read it all.
    let _either =
        client.write_all(format!("GET / HTTP/1.1\r\nhost: x\r\nlong: {long}\r\n\r\n").as_bytes()).await;
    let mut answer = Vec::new();
    let _either = client.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP/1.1 200"));

    let request = http::Request::get("https://localhost/").header("long", &long).body(()).unwrap();
    let mut h3 = world.h3.clone();
    // h3's client keeps to the server's setting once it knows it; the server answers 431 before.
    if let Ok(mut stream) = h3.send_request(request).await {
        stream.finish().await.unwrap();
        assert_eq!(stream.recv_response().await.unwrap().status(), 431);
    }
    assert_eq!(world.get(Protocol::H3, "/after").await.unwrap().status, 200);
    world.stop().await;
}

#[tokio::test]
async fn connections_beyond_the_limit_are_closed_at_once() {
    // The harness has one over QUIC.
    let world = World::start_with(Config { max_connections: 2, ..Config::default() }, echo).await;
    world.get(Protocol::H1, "/").await.unwrap();
    let mut third = TcpStream::connect(world.plain).await.unwrap();
    assert_eq!(third.read(&mut [0; 1]).await.unwrap(), 0);
    assert_eq!(world.metrics.rejected_connections.get(), 1);
    assert_eq!(world.get(Protocol::H1, "/").await.unwrap().status, 200);
    world.stop().await;
}

#[tokio::test]
async fn a_client_that_stops_reading_halfway_harms_nobody() {
    let world = World::start(echo).await;
    for _ in 0..20 {
        let mut h3 = world.h3.clone();
        let request = http::Request::post("https://localhost/large").body(()).unwrap();
        let mut stream = h3.send_request(request).await.unwrap();
        stream.recv_response().await.unwrap();
        let chunk = stream.recv_data().await.unwrap().unwrap();
        assert!(chunk.has_remaining());
        // STOP_SENDING for the response and RESET for the request, with both in flight.
        stream.stop_sending(Code::H3_REQUEST_CANCELLED);
        stream.stop_stream(Code::H3_REQUEST_CANCELLED);
    }
    assert_eq!(world.get(Protocol::H3, "/large").await.unwrap().body.len(), LARGE);
    assert_eq!(world.metrics.handler_panics.get(), 0);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_nothing_of_what_it_asked_for_is_cut_off() {
    let world = World::start(echo).await;
    let urls = [format!("http://{}/large", world.plain), format!("https://{}/large", world.secure)];
    for (cut, url) in (1..).zip(urls) {
        let request = http::Request::get(url).body(Body::empty()).unwrap();
        let unread = world.http.request(request).await.unwrap();
        while world.metrics.slow_clients.get() < cut {
            // In virtual time: it is what the server waits for.
            tokio::time::sleep(slow::PERIOD).await;
        }
        assert!(unread.into_body().collect().await.is_err(), "an answer that was cut is whole");
    }
    world.stop().await;
}

#[tokio::test]
async fn a_client_that_vanishes_takes_its_requests_with_it() {
    let world = World::start(|_| std::future::pending::<Response>()).await;
    let (mut h3, driver) = connect(&world.endpoint, world.secure).await;
    let mut stream =
        h3.send_request(http::Request::get("https://localhost/").body(()).unwrap()).await.unwrap();
    stream.finish().await.unwrap();
    drop((stream, h3));
    driver.await.unwrap();
    world.stop().await;
}

#[tokio::test]
async fn a_port_in_use_is_one_line_that_says_what_to_do() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap();
    let bind = async |config: Config| Server::bind(&config, &tls::Config::default(), &Daemon::new()).await;
    let plain =
        bind(Config { plain_listen: Some(address), ..Config::default() }).await.unwrap_err().to_string();
    let start = format!("cannot listen on {address} (tcp): the address is in use");
    assert!(plain.starts_with(&start) && plain.contains("change `http.plain_listen`"), "{plain}");
    let secure = bind(Config { listen: Some(address), ..Config::default() }).await.unwrap_err().to_string();
    assert!(secure.starts_with(&start) && secure.contains("change `http.listen`"), "{secure}");

    // Where no other test is: its TCP port has to be free.
    let taken = std::net::UdpSocket::bind("127.0.0.77:0").unwrap();
    let address = taken.local_addr().unwrap();
    let secure = bind(Config { listen: Some(address), ..Config::default() }).await.unwrap_err().to_string();
    assert!(secure.starts_with(&format!("cannot listen on {address} (udp)")), "{secure}");
}
