//! What clients see when a daemon stops.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc};

use super::super::*;
use super::harness::World;

/// Answers with "begin", waits for a permit, and ends with "end".
fn held() -> (impl Handler, Arc<Semaphore>, mpsc::Receiver<()>) {
    let gate = Arc::new(Semaphore::new(0));
    let (began, begun) = mpsc::channel(64);
    let handler = {
        let gate = gate.clone();
        move |_: Request| {
            let (gate, began) = (gate.clone(), began.clone());
            async move {
                began.send(()).await.unwrap();
                let parts = futures_util::stream::unfold(0, move |step| {
                    let gate = gate.clone();
                    async move {
                        match step {
                            0 => Some((Ok::<_, BoxError>(bytes::Bytes::from_static(b"begin ")), 1)),
                            1 => {
                                gate.acquire().await.unwrap().forget();
                                Some((Ok(bytes::Bytes::from_static(b"end")), 2))
                            }
                            _ => None,
                        }
                    }
                });
                Response::new(Body::stream(parts))
            }
        }
    };
    (handler, gate, begun)
}

#[tokio::test]
async fn twenty_bodies_in_flight_arrive_whole_and_then_all_is_closed() {
    const EACH: usize = 20;
    let (handler, gate, mut begun) = held();
    let world = Arc::new(World::start(handler).await);
    let requests: Vec<_> = Protocol::ALL
        .into_iter()
        .flat_map(|protocol| std::iter::repeat_n(protocol, EACH))
        .map(|protocol| {
            let world = world.clone();
            tokio::runtime::Handle::current().spawn(async move { world.get(protocol, "/").await })
        })
        .collect();
    for _ in 0..3 * EACH {
        begun.recv().await.unwrap();
    }
    world.daemon.drain.begin();
    // Let listeners close and farewells be said while every body is open.
    assert!(world.daemon.drain.wait(Duration::from_millis(50)).await.is_err());
    gate.add_permits(3 * EACH);
    for request in requests {
        assert_eq!(request.await.unwrap().unwrap().body, "begin end");
    }
    let plain = world.plain;
    Arc::into_inner(world).unwrap().stop().await;
    assert!(TcpStream::connect(plain).await.is_err());
}

#[tokio::test]
async fn a_request_on_an_idle_connection_is_still_answered_while_draining() {
    let world = World::start(|_| async { Response::new("late".into()) }).await;
    let mut client = TcpStream::connect(world.plain).await.unwrap();
    let ask = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";
    client.write_all(ask).await.unwrap();
    let mut first = vec![0; 1024];
    let read = client.read(&mut first).await.unwrap();
    assert!(!String::from_utf8_lossy(&first[..read]).contains("connection: close"));

    world.daemon.drain.begin();
    client.write_all(ask).await.unwrap();
    let mut rest = String::new();
    client.read_to_string(&mut rest).await.unwrap();
    assert!(rest.contains("connection: close") && rest.ends_with("late"), "{rest}");
    world.stop().await;
}

#[tokio::test]
async fn a_connection_that_asks_nothing_does_not_hold_up_the_drain() {
    let world = World::start(|_| async { Response::new("never asked".into()) }).await;
    let mut silent = TcpStream::connect(world.plain).await.unwrap();
    // A connection the listener has taken: the handshake of the next one comes after it.
    world.get(Protocol::H1, "/").await.unwrap();
    world.stop().await;
    assert_eq!(silent.read(&mut [0; 1]).await.unwrap(), 0);
}

#[tokio::test]
async fn an_http3_client_is_told_to_go_elsewhere() {
    let (handler, gate, mut begun) = held();
    let world = Arc::new(World::start(handler).await);
    let running = {
        let world = world.clone();
        tokio::runtime::Handle::current().spawn(async move { world.get(Protocol::H3, "/").await })
    };
    begun.recv().await.unwrap();
    world.daemon.drain.begin();
    // The first request goes on, and the client learns of the end: sooner or later it refuses to send itself.
    let refused = async {
        let mut h3 = world.h3.clone();
        while h3.send_request(http::Request::get("https://localhost/").body(()).unwrap()).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), refused).await.unwrap();
    gate.add_permits(Semaphore::MAX_PERMITS >> 1);
    assert_eq!(running.await.unwrap().unwrap().body, "begin end");
    Arc::into_inner(world).unwrap().stop().await;
}
