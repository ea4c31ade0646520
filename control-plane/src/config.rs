//! The configuration: what every daemon has, and a section for each part of the control plane.

use std::path::PathBuf;

use nearcast_api::{NodeId, Region};
use nearcast_service::{control, daemon, drain, http, log, ops, tls};
use serde::{Deserialize, Serialize};

use crate::store::Database;
use crate::tokens;
use crate::{audience, audit, ca, dns, fleet, webhooks};

/// Everything that can be set; the defaults are the development world on one machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// What this process does: `api` keeps the state and serves API and pages, `dns` answers for the zone.
    pub roles: Vec<Role>,
    /// The operator's DNS zone, without a trailing dot.
    pub zone: String,
    /// Where the tokens are kept, and the database `control.db`.
    pub data_dir: PathBuf,
    /// Empty for SQLite in `data_dir`, or a PostgreSQL database: `postgres://USER:PASSWORD@HOST/NAME`.
    pub database: String,
    /// Where API and pages are served.
    pub http: http::Config,
    /// The certificate, when `http.listen` is set.
    pub tls: tls::Config,
    /// Who may call the API.
    pub api: tokens::Config,
    /// How long the audit log is kept.
    pub audit: audit::Config,
    /// The authority that gives nodes certificates.
    pub ca: ca::Config,
    /// The name server.
    pub dns: dns::Config,
    /// When nodes are down.
    pub fleet: fleet::Config,
    /// Which receivers may be told what happens.
    pub webhooks: webhooks::Config,
    /// For how long is kept who watched.
    pub audience: audience::Config,
    /// Where addresses are.
    pub geo: nearcast_geo::Config,
    /// A process with only the role `dns`: who it is.
    pub node: Node,
    /// A process with only the role `dns`: where its snapshots come from.
    pub control: control::Config,
    pub log: log::Config,
    pub ops: ops::Config,
    pub drain: drain::Config,
}

/// A part of the control plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    Api,
    Dns,
}

/// `[node]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Node {
    pub id: String,
    pub region: String,
}

impl Default for Node {
    fn default() -> Self {
        Self { id: "dns-1".into(), region: "eu".into() }
    }
}

impl Node {
    fn check(&self) -> Result<(), String> {
        self.id.parse::<NodeId>().map_err(|error| format!("node.id: {error}"))?;
        self.region.parse::<Region>().map_err(|error| format!("node.region: {error}"))?;
        Ok(())
    }
}

impl Default for Config {
    fn default() -> Self {
        let local = |port: u16| Some(([127, 0, 0, 1], port).into());
        Self {
            roles: vec![Role::Api, Role::Dns],
            zone: "nearcast.test".into(),
            data_dir: "data/control".into(),
            database: String::new(),
            http: http::Config { plain_listen: local(8080), ..http::Config::default() },
            tls: tls::Config::default(),
            api: tokens::Config::default(),
            audit: audit::Config::default(),
            ca: ca::Config::default(),
            dns: dns::Config::default(),
            fleet: fleet::Config::default(),
            webhooks: webhooks::Config::default(),
            audience: audience::Config::default(),
            geo: nearcast_geo::Config::default(),
            node: Node::default(),
            control: control::Config::default(),
            // hickory-server writes two lines for every answer.
            log: log::Config { level: "info,hickory_server=warn".into(), ..log::Config::default() },
            ops: ops::Config { listen: local(9901) },
            drain: drain::Config::default(),
        }
    }
}

impl Config {
    /// True when this process has the role.
    pub fn has(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    /// A process with only the role `dns`: where its snapshots come from, and where they are kept.
    pub fn control(&self) -> control::Config {
        let mut control = self.control.clone();
        if control.snapshot.as_os_str().is_empty() {
            control.snapshot = self.data_dir.join("snapshot.json");
        }
        control
    }

    /// Where the database is.
    ///
    /// # Errors
    /// One line on what is wrong with `database`.
    pub fn database(&self) -> Result<Database, String> {
        Database::parse(&self.database, self.data_dir.join("control.db"))
    }
}

impl daemon::Config for Config {
    const SECRETS: &'static [&'static str] = &[
        "api.admin_token",
        "api.node_token",
        "api.oidc.client_secret",
        "control.token",
        "control.enrolment_token",
    ];

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
        if self.roles.is_empty() {
            return Err("`roles` is empty: use [\"api\", \"dns\"], or one of them".to_owned());
        }
        if self.has(Role::Api) && self.http.listen.is_none() && self.http.plain_listen.is_none() {
            return Err(
                "the role api has nowhere to listen: set `http.listen` or `http.plain_listen`".to_owned()
            );
        }
        if !self.has(Role::Api) {
            self.node.check()?;
            self.control().check()?;
        }
        self.database()?;
        let database = &self.geo.database;
        if !database.as_os_str().is_empty() && std::fs::File::open(database).is_err() {
            return Err(format!(
                "`geo.database` {} cannot be read: check it, or leave it empty",
                database.display()
            ));
        }
        nearcast_geo::Locator::new(&self.geo, None).map_err(|error| error.to_string())?;
        self.tls.check(self.http.listen)?;
        self.api.check()?;
        self.ca.check()?;
        self.dns.check(&self.zone)?;
        self.audience.check()?;
        self.fleet.check()
    }
}

#[cfg(test)]
mod tests {
    use daemon::Config as _;

    use super::*;

    fn check(change: impl FnOnce(&mut Config)) -> String {
        let mut config = Config::default();
        change(&mut config);
        config.check().unwrap_err()
    }

    #[test]
    fn the_defaults_work_and_are_read_back_as_written() {
        let config = Config::default();
        config.check().unwrap();
        let text = nearcast_service::config::render(&config).unwrap();
        assert_eq!(toml::from_str::<Config>(&text).unwrap(), config);
    }

    #[test]
    fn what_cannot_work_is_said_with_its_key() {
        assert!(check(|config| config.roles.clear()).contains("`roles`"));
        assert!(check(|config| config.database = "mysql://h/nearcast".into()).contains("`database`"));
        assert!(check(|config| config.http.plain_listen = None).contains("`http.plain_listen`"));
        assert!(check(|config| config.zone = "a..b".into()).contains("`zone`"));
        assert!(check(|config| config.zone = "x".repeat(64)).contains("`zone`"));
        assert!(check(|config| config.dns.ttl = 86_400).contains("dns.ttl"));
        assert!(check(|config| config.dns.answers = 0).contains("dns.answers"));
        assert!(check(|config| config.api.admin_token = "short".into()).contains("api.admin_token"));
        assert!(check(|config| config.fleet.down_after = 0).contains("fleet.down_after"));
        assert!(check(|config| config.audience.minutes = 1).contains("audience.minutes"));
        let mut enrols = Config { roles: vec![Role::Dns], ..Config::default() };
        enrols.control.enrolment_token = "nce_abc".into();
        assert!(enrols.check().unwrap_err().contains("https://"));
        // There is a place for its certificate in `data_dir`.
        enrols.control.url = "https://control.example.net".into();
        enrols.check().unwrap();
        assert!(
            check(|config| {
                config.roles = vec![Role::Dns];
                config.node.id = "Not A Name".into();
            })
            .contains("node.id")
        );
    }
}
