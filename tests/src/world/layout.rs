//! Who is where in a world: names, regions, addresses and ports.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use anyhow::Result;

use crate::ports::Ports;

/// All addresses of a world.
#[derive(Debug, Clone)]
pub struct Layout {
    /// The DNS zone.
    pub zone: String,
    /// API and pages.
    pub control: SocketAddr,
    pub control_ops: SocketAddr,
    /// UDP and TCP.
    pub dns: SocketAddr,
    pub origin: Origin,
    /// A second one.
    pub standby: Option<Origin>,
    pub edges: Vec<Edge>,
}

/// An origin's.
#[derive(Debug, Clone)]
pub struct Origin {
    pub name: &'static str,
    pub http: SocketAddr,
    /// Where edges are told to find it: `http`, or a proxy before it.
    pub url: SocketAddr,
    pub rtmp: SocketAddr,
    pub rtmps: SocketAddr,
    /// UDP.
    pub srt: SocketAddr,
    pub ops: SocketAddr,
}

/// One edge's.
#[derive(Debug, Clone)]
pub struct Edge {
    pub name: &'static str,
    pub region: &'static str,
    /// Degrees north and east.
    pub location: (f64, f64),
    /// The network whose viewers belong to its region.
    pub clients: &'static str,
    /// HTTPS over TCP and UDP.
    pub https: SocketAddr,
    pub plain: SocketAddr,
    pub ops: SocketAddr,
}

impl Layout {
    /// The development world of `make run`: the ports people know by heart.
    pub fn development() -> Self {
        Self {
            zone: ZONE.into(),
            control: local(8080),
            control_ops: local(9901),
            dns: local(5300),
            standby: None,
            origin: Origin {
                name: "origin-1",
                http: local(8600),
                url: local(8600),
                rtmp: local(1935),
                rtmps: local(1936),
                srt: local(8890),
                ops: local(9902),
            },
            edges: vec![edge("eu-1", 8443, 8081, 9903), edge("us-1", 9443, 9081, 9904)],
        }
    }

    /// The same world on ports that nobody else has.
    pub fn on(ports: &Ports, edges: &[&'static str]) -> Result<Self> {
        let next = || ports.take();
        let edges = edges.iter().map(|name| Ok(edge(name, next()?, next()?, next()?)));
        Ok(Self {
            zone: ZONE.into(),
            edges: edges.collect::<Result<_>>()?,
            control: local(next()?),
            control_ops: local(next()?),
            dns: local(next()?),
            origin: Origin::on(ports, "origin-1")?,
            standby: None,
        })
    }

    /// The edge of this name.
    pub fn edge(&self, name: &str) -> Option<&Edge> {
        self.edges.iter().find(|edge| edge.name == name)
    }
}

impl Origin {
    /// One on ports that nobody else has.
    pub fn on(ports: &Ports, name: &'static str) -> Result<Self> {
        let next = || Ok::<_, anyhow::Error>(local(ports.take()?));
        let http = next()?;
        let (rtmp, rtmps, srt, ops) = (next()?, next()?, next()?, next()?);
        Ok(Self { name, http, url: http, rtmp, rtmps, srt, ops })
    }
}

/// `eu-1` stands in Frankfurt on 127.0.0.1, `us-1` in Ashburn on 127.0.0.2.
fn edge(name: &'static str, https: u16, plain: u16, ops: u16) -> Edge {
    let (region, location, clients, ip) = if name.starts_with("us") {
        ("us", (39.04, -77.49), "203.0.113.0/24", Ipv4Addr::new(127, 0, 0, 2))
    } else {
        ("eu", (50.11, 8.68), "198.51.100.0/24", Ipv4Addr::LOCALHOST)
    };
    let at = |port| SocketAddr::new(IpAddr::V4(ip), port);
    Edge { name, region, location, clients, https: at(https), plain: at(plain), ops: local(ops) }
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port)
}

const ZONE: &str = "nearcast.test";
