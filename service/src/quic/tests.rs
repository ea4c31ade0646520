//! The adapter's promise: a body is sent as the memory it is in.

use bytes::{Buf, Bytes};

use super::*;
use crate::client::client_config as client_tls;
use crate::sockets::Sockets;
use crate::tls::{self, Tls};

#[tokio::test]
async fn a_body_is_never_copied_on_its_way_to_quinn() {
    const BODY: usize = 5 << 20;
    let tls = Tls::load(&tls::Config::default()).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(tls.certificate().unwrap()).unwrap();
    let loopback = "127.0.0.1:0".parse().unwrap();
    let server =
        quinn::Endpoint::server(server_config(tls.server_config(&[b"h3"]).unwrap()).unwrap(), loopback)
            .unwrap();
    let mut client = quinn::Endpoint::client(loopback).unwrap();
    client.set_default_client_config(client_config(client_tls(roots).unwrap()).unwrap());

    let serve = async {
        let connection = server.accept().await.unwrap().await.unwrap();
        let mut h3 =
            h3::server::builder().send_grease(false).build(Connection::new(connection)).await.unwrap();
        let resolver = h3.accept().await.unwrap().unwrap();
        let (_request, mut stream) = resolver.resolve_request().await.unwrap();
        stream.send_response(http::Response::new(())).await.unwrap();
        let before = payload::copied();
        let priority = Priority::parse(b"u=1");
        stream.send_data(Payload::new(Bytes::from(vec![1; BODY]), priority)).await.unwrap();
        stream.finish().await.unwrap();
        // The header of the frame: a type and a length.
        assert!(payload::copied() - before <= 16, "{} bytes copied", payload::copied() - before);
    };
    let ask = async {
        let connection = client.connect(server.local_addr().unwrap(), "localhost").unwrap().await.unwrap();
        let (mut driver, mut h3) = super::client(connection).await.unwrap();
        let read = async {
            let request = http::Request::get("https://localhost/").body(()).unwrap();
            let mut stream = h3.send_request(request).await.unwrap();
            stream.finish().await.unwrap();
            stream.recv_response().await.unwrap();
            let mut length = 0;
            while let Some(chunk) = stream.recv_data().await.unwrap() {
                length += chunk.remaining();
            }
            length
        };
        tokio::select! {
            length = read => assert_eq!(length, BODY),
            error = driver.wait_idle() => panic!("{error}"),
        }
    };
    tokio::join!(serve, ask);
}

#[test]
fn a_stream_id_is_the_same_number_on_both_sides() {
    for number in [0, 4, 11, (1 << 62) - 1] {
        let id = quinn::StreamId::from(VarInt::from_u64(number).unwrap());
        assert_eq!(send::stream_id(id).into_inner(), number);
    }
}

/// Answers the first request of each connection with the server's name, and later ones as well.
async fn answer_with(endpoint: quinn::Endpoint, name: &'static str) {
    while let Some(incoming) = endpoint.accept().await {
        let Ok(connection) = incoming.await else { continue };
        let drain = crate::drain::Drain::new();
        drain.spawn("connection", async move {
            while let Ok((mut send, mut receive)) = connection.accept_bi().await {
                receive.read_to_end(100).await.unwrap();
                send.write_all(name.as_bytes()).await.unwrap();
                send.finish().unwrap();
            }
        });
    }
}

async fn ask(connection: &quinn::Connection) -> String {
    let (mut send, mut receive) = connection.open_bi().await.unwrap();
    send.write_all(b"?").await.unwrap();
    send.finish().unwrap();
    String::from_utf8(receive.read_to_end(100).await.unwrap()).unwrap()
}

#[tokio::test]
async fn connections_stay_with_their_process_when_another_takes_over_the_port() {
    let tls = Tls::load(&tls::Config::default()).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(tls.certificate().unwrap()).unwrap();
    let loopback = "127.0.0.1:0".parse().unwrap();
    let socket = std::net::UdpSocket::bind(loopback).unwrap();
    let address = socket.local_addr().unwrap();
    let (before, after) = (Sockets::default(), Sockets::of_successor());
    let serve = |name: &'static str, owner, sockets: &Sockets| {
        let config = server_config(tls.server_config(&[b"h3"]).unwrap()).unwrap();
        let endpoint = endpoint(socket.try_clone().unwrap(), config, owner, true, sockets).unwrap();
        crate::drain::Drain::new().spawn(name, answer_with(endpoint, name))
    };
    let first = serve("first", [1, 0, 0, 0], &before);
    let mut client = quinn::Endpoint::client(loopback).unwrap();
    client.set_default_client_config(client_config(client_tls(roots).unwrap()).unwrap());
    let old = client.connect(address, "localhost").unwrap().await.unwrap();
    assert_eq!(ask(&old).await, "first");

    let second = serve("second", [2, 0, 0, 0], &after);
    before.hand_over().unwrap();
    before.leave();
    after.take_turn();
    for _ in 0..3 {
        assert_eq!(ask(&old).await, "first");
        let new = client.connect(address, "localhost").unwrap().await.unwrap();
        assert_eq!(ask(&new).await, "second");
    }
    first.abort();
    second.abort();
}
