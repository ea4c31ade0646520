//! Webhooks: who is told of what, in requests that are signed, tried again and given up at last.
//!
//! What happens is an [`Event`]; the [`crate::store`] queues it for every webhook that wants it, in the transaction of what
//! happened. The courier takes what is due from there, so nothing that happens ever waits for a receiver.

mod address;
mod courier;
pub mod event;
mod metrics;
mod post;
mod schedule;
mod secret;
mod slots;
pub mod watch;

use std::path::PathBuf;

use nearcast_api::ChannelId;
use serde::{Deserialize, Serialize};
use url::{Host, Url};

pub use address::is_public;
pub use courier::start;
pub use event::{About, Event, Kind};
pub use metrics::Metrics;
pub use post::{Answered, Post};
pub use schedule::{Verdict, after};
pub use secret::Secret;

/// `[webhooks]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Allow receivers at `http://`: anybody on the way can read what they are told.
    pub allow_http: bool,
    /// Deliver to loopback, private and link-local addresses as well: whoever may make webhooks can then have requests sent
    /// to what only this machine reaches.
    pub private_addresses: bool,
    /// PEM file of the authorities that receivers' certificates come from; empty for the system's.
    pub ca: PathBuf,
}

/// What an operator decides of a webhook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    pub url: String,
    pub label: String,
    /// Empty for all.
    pub events: Vec<Kind>,
    /// Only what happens to these; empty for everything.
    pub channels: Vec<ChannelId>,
    pub enabled: bool,
}

impl Config {
    /// What is wrong with a receiver's URL, if anything. Where its name leads is looked at with each connection.
    pub fn check(&self, text: &str) -> Result<(), String> {
        if text.len() > MAX_URL {
            return Err(format!("at most {MAX_URL} bytes"));
        }
        let url = Url::parse(text).ok().filter(|url| url.has_host());
        let url = url.ok_or("use the receiver's URL, such as https://example.net/hooks")?;
        let host = url.host();
        let address = match host {
            Some(Host::Ipv4(address)) => Some(address.into()),
            Some(Host::Ipv6(address)) => Some(address.into()),
            Some(Host::Domain(_)) | None => None,
        };
        let is_local = address.is_some_and(|address: std::net::IpAddr| address.is_loopback())
            || matches!(host, Some(Host::Domain("localhost")));
        match url.scheme() {
            "https" => {}
            "http" if self.allow_http || (is_local && self.private_addresses) => {}
            "http" => {
                return Err("use https://, or set `webhooks.allow_http` in the configuration".to_owned());
            }
            _ => return Err("use https://".to_owned()),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("leave user and password out: what is sent is signed".to_owned());
        }
        if url.fragment().is_some() {
            return Err("leave the part behind # out: it is never sent".to_owned());
        }
        if !self.private_addresses && address.is_some_and(|address| !is_public(address)) {
            return Err(format!("{}: {PRIVATE}", url.host_str().unwrap_or_default()));
        }
        Ok(())
    }
}

impl Spec {
    /// Whether it is told of nodes, which are the operator's.
    pub fn has_nodes(&self) -> bool {
        let of_nodes = |kind: &Kind| kind.is_of_nodes();
        if self.events.is_empty() { self.channels.is_empty() } else { self.events.iter().any(of_nodes) }
    }
}

const PRIVATE: &str = "this is no public address; an operator who wants it sets `webhooks.private_addresses` in the \
                       configuration";
const MAX_URL: usize = 2048;

#[cfg(test)]
mod tests;
