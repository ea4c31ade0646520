//! An origin's configuration: the product of its parts' own. Defaults are `origin-1` of the development world.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use nearcast_api::node::{Location, Role, Spec};
use nearcast_api::{NodeId, Region};
use nearcast_service::config::optional;
use nearcast_service::{control, daemon, drain, http, log, ops, tls};
use serde::{Deserialize, Serialize};

use crate::{dvr, ingest, package, record, thumbs, transcode};

/// The whole file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub node: Node,
    pub rtmp: ingest::Config,
    pub rtmps: ingest::rtmps::Config,
    pub srt: ingest::srt::Config,
    pub limits: ingest::bounds::Bounds,
    pub transcode: transcode::Config,
    pub thumbnails: thumbs::Config,
    pub package: package::Config,
    pub dvr: dvr::Config,
    pub record: record::Config,
    pub failover: package::program::Config,
    pub http: http::Config,
    pub tls: tls::Config,
    pub control: control::Config,
    pub ops: ops::Config,
    pub log: log::Config,
    pub drain: drain::Config,
}

/// `[node]`: who this origin is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Node {
    /// Its name, unique among all nodes; it becomes a DNS name.
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
    /// Base URLs at which edges reach it, best first.
    pub urls: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        let local = |port| Some(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        let snapshot = PathBuf::from("data/{node.id}/snapshot.json");
        Self {
            node: Node::default(),
            rtmp: ingest::Config::default(),
            rtmps: ingest::rtmps::Config::default(),
            srt: ingest::srt::Config::default(),
            limits: ingest::bounds::Bounds::default(),
            transcode: transcode::Config::default(),
            thumbnails: thumbs::Config::default(),
            package: package::Config::default(),
            dvr: dvr::Config::default(),
            record: record::Config::default(),
            failover: package::program::Config::default(),
            http: http::Config { plain_listen: local(8600), ..http::Config::default() },
            tls: tls::Config::default(),
            control: control::Config { snapshot, ..control::Config::default() },
            ops: ops::Config { listen: local(9902) },
            log: log::Config::default(),
            drain: drain::Config::default(),
        }
    }
}

impl Default for Node {
    fn default() -> Self {
        Self {
            id: "origin-1".parse().expect("a valid name"),
            region: "eu".parse().expect("a valid name"),
            latitude: None,
            longitude: None,
            addresses: vec![IpAddr::V4(Ipv4Addr::LOCALHOST)],
            urls: vec!["http://127.0.0.1:8600".into()],
        }
    }
}

impl Config {
    /// Where this origin keeps what it writes.
    pub(crate) fn folder(&self) -> PathBuf {
        self.control.snapshot(&self.node.id).parent().map(Path::to_owned).unwrap_or_default()
    }
}

impl Node {
    /// What the control plane is told.
    pub fn spec(&self) -> Spec {
        let location = self.latitude.zip(self.longitude);
        Spec {
            id: self.id.clone(),
            role: Role::Origin,
            region: self.region.clone(),
            location: location.map(|(latitude, longitude)| Location { latitude, longitude }),
            addresses: self.addresses.clone(),
            urls: self.urls.clone(),
            version: env!("CARGO_PKG_VERSION").into(),
        }
    }
}

impl daemon::Config for Config {
    const SECRETS: &'static [&'static str] =
        &["control.token", "control.enrolment_token", "srt.passphrase", "record.options"];

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
            return wrong(
                "http.listen",
                "and `http.plain_listen` are both empty: no edge could fetch anything",
            );
        }
        if self.node.latitude.is_some() != self.node.longitude.is_some() {
            return wrong("node.latitude", "and `node.longitude` go together: set both or none");
        }
        if self.node.urls.is_empty() {
            return wrong("node.urls", "is empty: edges would not know how to reach this origin");
        }
        if self.control.mutual_tls
            && (self.http.listen.is_none() || !self.node.urls.iter().all(|url| url.starts_with("https://")))
        {
            return wrong(
                "control.mutual_tls",
                "is on, and edges show who they are over TLS alone: set `http.listen`, and have https:// URLs alone in `node.urls`",
            );
        }
        self.tls.check(self.http.listen)?;
        self.control.check()?;
        self.failover.check()?;
        self.srt.check()?;
        self.limits.check()?;
        self.transcode.check()?;
        self.thumbnails.check()?;
        self.record.check()?;
        self.package.check()
    }
}

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
        assert!(text.contains("[[transcode.ladder]]\nname = \"720p\""), "{text}");
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("origin.toml");
        std::fs::write(&path, text).unwrap();
        assert_eq!(config::load::<Config>(Some(&path), []).unwrap(), config);
    }

    #[test]
    fn what_cannot_work_is_said_in_one_line() {
        let with = |change: fn(&mut Config)| {
            let mut config = Config::default();
            change(&mut config);
            config.check().unwrap_err()
        };
        assert!(with(|config| config.http.plain_listen = None).contains("http.plain_listen"));
        assert!(with(|config| config.node.latitude = Some(52.5)).contains("node.longitude"));
        assert!(with(|config| config.node.urls.clear()).contains("node.urls"));
        assert!(with(|config| config.srt.passphrase = "short".into()).contains("srt.passphrase"));
        assert!(with(|config| config.thumbnails.interval = 0).contains("thumbnails.interval"));
        assert!(with(|config| config.transcode.preset = "best".into()).contains("transcode.preset"));
        assert!(with(|config| config.failover.slate = "/nowhere.png".into()).contains("failover.slate"));
        assert!(with(|config| config.tls.certificate = "/nowhere.pem".into()).contains("/nowhere.pem"));
        assert!(with(|config| config.record.url = "ftp://host/x".into()).contains("record.url"));
        assert!(with(|config| config.control.url = "somewhere".into()).contains("somewhere"));
    }
}
