//! An edge's configuration: the product of its parts' own. Defaults are `eu-1` of the development world.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use nearcast_api::node::{Location, Role, Spec};
use nearcast_api::{NodeId, Region};
use nearcast_service::config::optional;
use nearcast_service::{control, daemon, drain, http, log, ops, tls};
use serde::{Deserialize, Serialize};

use crate::{access, cache, follow, proxy, upstream};

/// The whole file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub node: Node,
    pub http: http::Config,
    pub tls: tls::Config,
    pub access: access::Config,
    pub cache: cache::Config,
    pub follow: follow::Config,
    pub upstream: upstream::Config,
    pub routes: Vec<proxy::Config>,
    pub control: control::Config,
    pub ops: ops::Config,
    pub log: log::Config,
    pub drain: drain::Config,
}

/// `[node]`: who this edge is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Node {
    /// Its name, unique among all nodes; it is seen in `Via` and `Cache-Status` and becomes a DNS name.
    pub id: NodeId,
    /// Where it stands.
    pub region: Region,
    /// Degrees north, with `longitude`; empty to let the region alone decide what is near.
    #[serde(with = "optional")]
    pub latitude: Option<f64>,
    /// Degrees east.
    #[serde(with = "optional")]
    pub longitude: Option<f64>,
    /// What DNS answers for it.
    pub addresses: Vec<IpAddr>,
    /// Base URLs at which viewers reach it, best first.
    pub urls: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        let local = |port| Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port));
        Self {
            node: Node::default(),
            http: http::Config { listen: local(8443), plain_listen: local(8081), ..http::Config::default() },
            tls: tls::Config::default(),
            access: access::Config::default(),
            cache: cache::Config::default(),
            follow: follow::Config::default(),
            upstream: upstream::Config::default(),
            routes: Vec::new(),
            control: control::Config {
                snapshot: PathBuf::from("data/{node.id}/snapshot.json"),
                ..control::Config::default()
            },
            ops: ops::Config { listen: local(9903) },
            log: log::Config::default(),
            drain: drain::Config::default(),
        }
    }
}

impl Default for Node {
    fn default() -> Self {
        Self {
            id: "eu-1".parse().expect("a valid name"),
            region: "eu".parse().expect("a valid name"),
            latitude: None,
            longitude: None,
            addresses: vec![IpAddr::V4(Ipv4Addr::LOCALHOST)],
            urls: vec!["https://127.0.0.1:8443".into(), "http://127.0.0.1:8081".into()],
        }
    }
}

impl Node {
    /// What the control plane is told.
    pub fn spec(&self) -> Spec {
        let location = self.latitude.zip(self.longitude);
        Spec {
            id: self.id.clone(),
            role: Role::Edge,
            region: self.region.clone(),
            location: location.map(|(latitude, longitude)| Location { latitude, longitude }),
            addresses: self.addresses.clone(),
            urls: self.urls.clone(),
            version: env!("CARGO_PKG_VERSION").into(),
        }
    }
}

impl daemon::Config for Config {
    const UPGRADES: bool = true;

    fn log(&self) -> &log::Config {
        &self.log
    }

    fn ops(&self) -> &ops::Config {
        &self.ops
    }

    fn drain(&self) -> &drain::Config {
        &self.drain
    }

    fn check(&self) -> Result<(), String> {
        let wrong = |key: &str, why: &str| Err(format!("`{key}` {why}"));
        if self.http.listen.is_none() && self.http.plain_listen.is_none() {
            return wrong("http.listen", "and `http.plain_listen` are both empty: nobody could watch");
        }
        if self.node.latitude.is_some() != self.node.longitude.is_some() {
            return wrong("node.latitude", "and `node.longitude` go together: set both or none");
        }
        if self.cache.memory.0 < MIN_MEMORY {
            return wrong("cache.memory", "is less than 16MiB: not even one rendition's window fits");
        }
        let upstream = &self.upstream;
        if self.control.url.is_empty() && upstream.origins.is_empty() && upstream.parents.is_empty() {
            return wrong(
                "control.url",
                "`upstream.origins` and `upstream.parents` are all empty: the edge would know no origin",
            );
        }
        for (key, urls) in [("origins", &upstream.origins), ("parents", &upstream.parents)] {
            if let Some(bad) = urls.iter().find(|url| !is_base(url)) {
                return wrong(
                    &format!("upstream.{key}"),
                    &format!("has {bad:?}: write a URL such as https://shield-1.example.net"),
                );
            }
        }
        if self.control.mutual_tls && !(upstream.origins.is_empty() && upstream.parents.is_empty()) {
            return wrong(
                "control.mutual_tls",
                "is on, and nobody proves who is at the URLs in `upstream.origins` and `upstream.parents`: leave them to \
                 the control plane, which names nodes",
            );
        }
        self.access.check()?;
        for (index, route) in self.routes.iter().enumerate() {
            route.check(self.cache.memory)?;
            if self.routes[..index].iter().any(|other| other.name == route.name) {
                return wrong(
                    "routes",
                    &format!("has two called {:?}: names are for telling them apart", route.name),
                );
            }
        }
        self.tls.check(self.http.listen)?;
        self.control.check()
    }
}

fn is_base(url: &str) -> bool {
    url.parse::<::http::Uri>()
        .is_ok_and(|url| matches!(url.scheme_str(), Some("http" | "https")) && url.host().is_some())
}

const MIN_MEMORY: u64 = 16 << 20;

#[cfg(test)]
mod tests {
    use nearcast_service::config;
    use nearcast_service::daemon::Config as _;

    use super::*;

    #[test]
    fn the_defaults_work_and_survive_a_round_trip() {
        let config = Config::default();
        assert_eq!(config.check(), Ok(()));
        let text = config::render(&config).unwrap();
        assert_eq!(toml_read(&text), config);
        assert!(text.contains("memory = \"512MiB\""), "{text}");
    }

    #[test]
    fn what_cannot_work_is_said_in_one_line() {
        let mut config = Config::default();
        config.cache.memory = "1MiB".parse().unwrap();
        assert!(config.check().unwrap_err().contains("cache.memory"));
        let mut config = Config::default();
        config.node.latitude = Some(52.5);
        assert!(config.check().unwrap_err().contains("node.longitude"));
    }

    fn toml_read(text: &str) -> Config {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("edge.toml");
        std::fs::write(&path, text).unwrap();
        config::load(Some(&path), []).unwrap()
    }
}
