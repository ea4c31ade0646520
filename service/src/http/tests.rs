//! Real clients on loopback: hyper for HTTP/1.1 and HTTP/2, h3 over our own adapter for HTTP/3.

mod clients;
mod drain;
mod harness;
mod limits;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Version};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use harness::{Answer, World, text};

async fn echo(mut request: Request) -> Response {
    let peer = *request.extensions().get::<Peer>().unwrap();
    let path = request.uri().path().to_owned();
    let mut response = match path.as_str() {
        "/panic" => panic!("on purpose"),
        "/large" => Response::new(Body::chunks(vec![Bytes::from(vec![7; LARGE / 3]); 3])),
        "/cut" => Response::new(Body::stream(futures_util::stream::iter([
            Ok(Bytes::from_static(b"half")),
            Err("the upstream broke"),
        ]))),
        "/nothing" => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NO_CONTENT;
            response
        }
        _ => match read_limited(request.body_mut(), 1000).await {
            Ok(body) if !body.is_empty() => Response::new(body.into()),
            Ok(_) => Response::new(Body::from(format!("{} {path}", peer.protocol.as_str()))),
            Err(error) => {
                let mut response = Response::new(error.to_string().into());
                *response.status_mut() = StatusCode::PAYLOAD_TOO_LARGE;
                response
            }
        },
    };
    let secure = if peer.secure { "yes" } else { "no" };
    response.headers_mut().insert("x-secure", http::HeaderValue::from_static(secure));
    assert!(peer.address.ip().is_loopback());
    response
}

/// Above every window on the way, so that flow control takes part.
const LARGE: usize = 9 << 20;

#[tokio::test]
async fn a_viewer_whose_address_changes_stays_with_its_worker() {
    let world = World::start_with(Config { workers: Some(4), ..Config::default() }, echo).await;
    for _ in 0..8 {
        // Another port: the kernel gives its packets to another worker's socket, as a rule.
        world.endpoint.rebind(std::net::UdpSocket::bind("127.0.0.1:0").unwrap()).unwrap();
        let answer = world.get(Protocol::H3, "/hello").await.unwrap();
        assert_eq!(text(&answer), "h3 /hello");
    }
    world.stop().await;
}

#[tokio::test]
async fn one_handler_answers_all_three_protocols() {
    all_three_protocols(0).await;
}

#[tokio::test]
async fn so_it_does_on_threads_with_sockets_of_their_own() {
    all_three_protocols(3).await;
}

async fn all_three_protocols(workers: u8) {
    let world = World::start_with(Config { workers: Some(workers), ..Config::default() }, echo).await;
    for protocol in Protocol::ALL {
        let answer = world.get(protocol, "/hello").await.unwrap();
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(text(&answer), format!("{} /hello", protocol.as_str()));
        assert!(answer.headers.contains_key("date"), "{protocol:?}");
        assert_eq!(answer.headers["content-length"], answer.body.len().to_string());
        assert_eq!(answer.headers["x-secure"], if protocol == Protocol::H1 { "no" } else { "yes" });
        let version = match protocol {
            Protocol::H1 => Version::HTTP_11,
            Protocol::H2 => Version::HTTP_2,
            Protocol::H3 => Version::HTTP_3,
        };
        assert_eq!(answer.version, version);
    }
    let metrics = world.daemon.metrics.render();
    for protocol in Protocol::ALL {
        let line =
            format!("nearcast_http_requests_total{{protocol=\"{}\",status=\"2xx\"}} 1", protocol.as_str());
        assert!(metrics.contains(&line), "{line} is not in {metrics}");
    }
    world.stop().await;
}

#[tokio::test]
async fn a_client_that_has_only_http1_gets_it_over_tls_too() {
    let world = World::start(echo).await;
    let mut tls = crate::client::client_config(world.roots.clone()).unwrap();
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    let tcp = tokio::net::TcpStream::connect(world.secure).await.unwrap();
    let name = rustls_pki_types::ServerName::try_from("localhost").unwrap();
    let mut stream =
        tokio_rustls::TlsConnector::from(std::sync::Arc::new(tls)).connect(name, tcp).await.unwrap();
    assert_eq!(
        stream.get_ref().1.negotiated_cipher_suite().unwrap().suite(),
        rustls::CipherSuite::TLS13_AES_128_GCM_SHA256
    );
    stream.write_all(b"GET /tls HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(
        answer.contains("x-secure: yes") && answer.contains("alt-svc: ") && answer.ends_with("h1 /tls"),
        "{answer}"
    );
    world.stop().await;
}

#[tokio::test]
async fn http3_is_announced_where_it_can_be_believed() {
    let world = World::start(echo).await;
    let port = world.secure.port();
    let announced =
        |answer: &Answer| answer.headers.get("alt-svc").map(|value| value.to_str().unwrap().to_owned());
    let expected = Some(format!("h3=\":{port}\"; ma=86400"));
    assert_eq!(announced(&world.get(Protocol::H2, "/").await.unwrap()), expected);
    assert_eq!(announced(&world.get(Protocol::H1, "/").await.unwrap()), None);
    assert_eq!(announced(&world.get(Protocol::H3, "/").await.unwrap()), None);
    world.stop().await;
}

#[tokio::test]
async fn large_bodies_arrive_whole_and_are_counted() {
    let world = World::start(echo).await;
    for (i, protocol) in Protocol::ALL.into_iter().enumerate() {
        let answer = world.get(protocol, "/large").await.unwrap();
        assert_eq!(answer.body.len(), LARGE, "{protocol:?}");
        assert!(answer.body.iter().all(|byte| *byte == 7));
        assert_eq!(world.metrics.sent_bytes.get(), (LARGE * (i + 1)) as u64);
    }
    world.stop().await;
}

#[tokio::test]
async fn a_head_request_has_the_headers_of_get_and_no_body() {
    let world = World::start(echo).await;
    for protocol in Protocol::ALL {
        let answer = world.send(protocol, Method::HEAD, "/large", "").await.unwrap();
        assert_eq!(answer.headers["content-length"], LARGE.to_string(), "{protocol:?}");
        assert!(answer.body.is_empty());
        let answer = world.get(protocol, "/nothing").await.unwrap();
        assert_eq!((answer.status, answer.body.len()), (StatusCode::NO_CONTENT, 0));
        assert_eq!(answer.headers.get("content-length"), None, "{protocol:?}");
    }
    world.stop().await;
}

#[tokio::test]
async fn request_bodies_are_read_up_to_the_limit() {
    let world = World::start(echo).await;
    for protocol in Protocol::ALL {
        let answer = world.send(protocol, Method::POST, "/", "ping").await.unwrap();
        assert_eq!(text(&answer), "ping", "{protocol:?}");
        let answer = world.send(protocol, Method::POST, "/", &"x".repeat(1001)).await.unwrap();
        assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE, "{protocol:?}");
    }
    world.stop().await;
}

#[tokio::test]
async fn a_panic_is_the_requests_500_and_nothing_else() {
    let world = World::start(echo).await;
    for protocol in Protocol::ALL {
        let answer = world.get(protocol, "/panic").await.unwrap();
        assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR, "{protocol:?}");
        assert_eq!(world.get(protocol, "/after").await.unwrap().status, StatusCode::OK);
    }
    assert_eq!(world.metrics.handler_panics.get(), 3);
    world.stop().await;
}

#[tokio::test]
async fn a_panic_before_the_handlers_future_is_the_requests_500_too() {
    let world = World::start(|request: Request| {
        assert_eq!(request.uri().path(), "/after", "on purpose");
        async { Response::new("ok".into()) }
    })
    .await;
    for protocol in Protocol::ALL {
        let answer = world.get(protocol, "/panic").await.unwrap();
        assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR, "{protocol:?}");
        assert_eq!(world.get(protocol, "/after").await.unwrap().status, StatusCode::OK);
    }
    assert_eq!(world.metrics.handler_panics.get(), 3);
    world.stop().await;
}

#[tokio::test]
async fn a_body_that_breaks_off_is_never_taken_for_a_whole_one() {
    let world = World::start(echo).await;
    for protocol in Protocol::ALL {
        assert!(world.get(protocol, "/cut").await.is_err(), "{protocol:?}");
        assert_eq!(world.get(protocol, "/after").await.unwrap().status, StatusCode::OK);
    }
    world.stop().await;
}

#[tokio::test]
async fn hop_by_hop_headers_stay_out_of_http3() {
    let world = World::start(|_| async {
        let mut response = Response::new("ok".into());
        let headers: &mut HeaderMap = response.headers_mut();
        headers.insert("connection", http::HeaderValue::from_static("keep-alive"));
        headers.insert("keep-alive", http::HeaderValue::from_static("timeout=5"));
        response
    })
    .await;
    let answer = world.get(Protocol::H3, "/").await.unwrap();
    assert!(!answer.headers.contains_key("connection") && !answer.headers.contains_key("keep-alive"));
    world.stop().await;
}

impl Protocol {
    const ALL: [Self; 3] = [Self::H1, Self::H2, Self::H3];
}
