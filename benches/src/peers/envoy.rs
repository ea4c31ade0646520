//! Envoy with its cache in memory, on TCP and QUIC.

use anyhow::Result;
use nearcast_tests::process::Program;
use serde_json::{Value, json};

use super::{fetched, version};
use crate::server::Server;
use crate::site::Site;

pub(super) async fn start(site: &Site) -> Result<Server> {
    let envoy = fetched("envoy")?;
    let mut server = Server::new("envoy", format!("envoy {}", version(&envoy, "--version")?), site)?;
    let secure = server.secure;
    let file = server.file("envoy.json", &config(site, &server).to_string())?;
    let args = ["--concurrency", "1", "--disable-hot-restart", "-l", "error", "-c", &file];
    server.run(Program::system(&envoy.to_string_lossy()).named("envoy").args(args), secure).await?;
    Ok(server)
}

fn config(site: &Site, server: &Server) -> Value {
    let certificate = json!({
        "certificate_chain": { "filename": site.certificate.certificate },
        "private_key": { "filename": site.certificate.key },
    });
    let tls = |alpn: &[&str]| {
        json!({ "common_tls_context": {
            "alpn_protocols": alpn,
            "tls_params": { "tls_minimum_protocol_version": "TLSv1_3" },
            "tls_certificates": [certificate],
        }})
    };
    let tcp = json!({ "transport_socket": { "name": "tls", "typed_config":
        typed("transport_sockets.tls.v3.DownstreamTlsContext", tls(&["h2", "http/1.1"])) } });
    let quic = json!({ "transport_socket": { "name": "quic", "typed_config":
        typed("transport_sockets.quic.v3.QuicDownstreamTransport", json!({ "downstream_tls_context": tls(&["h3"]) })) } });
    let address = |protocol: &str, address: std::net::SocketAddr| {
        json!({ "socket_address":
            { "protocol": protocol, "address": address.ip(), "port_value": address.port() } })
    };
    let mut udp = listener("quic", address("UDP", server.secure), "HTTP3", quic);
    let gso = typed("udp_packet_writer.v3.UdpGsoBatchWriterFactory", json!({}));
    merge(
        &mut udp,
        json!({ "udp_listener_config": {
            "quic_options": {},
            "downstream_socket_config": { "prefer_gro": true },
            "udp_packet_packet_writer_config": { "name": "envoy.udp_packet_writer.gso", "typed_config": gso },
        }}),
    );
    let endpoint = json!({ "endpoint": { "address": address("TCP", site.feeder.address) } });
    json!({ "static_resources": {
        "listeners": [
            listener("plain", address("TCP", server.plain), "AUTO", json!({})),
            listener("tls", address("TCP", server.secure), "AUTO", tcp),
            udp,
        ],
        "clusters": [{
            "name": "origin",
            "type": "STATIC",
            "connect_timeout": "5s",
            "load_assignment": { "cluster_name": "origin", "endpoints": [{ "lb_endpoints": [endpoint] }] },
        }],
    }})
}

/// A listener that answers from the cache or from the origin.
fn listener(name: &str, address: Value, codec: &str, mut chain: Value) -> Value {
    let cache = typed(
        "filters.http.cache_v2.v3.CacheV2Config",
        json!({ "typed_config": typed("http.cache_v2.simple_http_cache.v3.SimpleHttpCacheV2Config", json!({})) }),
    );
    let manager = typed(
        "filters.network.http_connection_manager.v3.HttpConnectionManager",
        json!({
            "codec_type": codec,
            "stat_prefix": name,
            "route_config": { "virtual_hosts": [{
                "name": "all",
                "domains": ["*"],
                "routes": [{ "match": { "prefix": "/" }, "route": { "cluster": "origin", "timeout": "60s" } }],
            }]},
            "http_filters": [
                { "name": "cache", "typed_config": cache },
                { "name": "router", "typed_config": typed("filters.http.router.v3.Router", json!({})) },
            ],
        }),
    );
    merge(&mut chain, json!({ "filters": [{ "name": "manager", "typed_config": manager }] }));
    json!({ "name": name, "address": address, "tcp_backlog_size": 4096, "filter_chains": [chain] })
}

/// `value` as a message of one of Envoy's extensions.
fn typed(extension: &str, mut value: Value) -> Value {
    merge(&mut value, json!({ "@type": format!("type.googleapis.com/envoy.extensions.{extension}") }));
    value
}

fn merge(into: &mut Value, more: Value) {
    if let (Value::Object(into), Value::Object(more)) = (into, more) {
        into.extend(more);
    }
}
