//! Whom an edge of ours is compared with: each with one worker on one core, its cache in memory, logs off.

mod caddy;
mod envoy;
mod nginx;
mod ours;
mod trafficserver;
mod varnish;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::server::Server;
use crate::site::Site;

pub use ours::start as ours;

/// A server that does an edge's work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// Debian's, with `proxy_cache`.
    Nginx,
    /// Debian's, with hitch in front of it for TLS.
    Varnish,
    /// Debian's.
    Trafficserver,
    /// Caddy's own program. It has no cache: it serves files.
    Caddy,
    /// Envoy's own program with its simple cache.
    Envoy,
    /// Ours with one pool in place of a runtime for each core: which is better here?
    Pool,
}

impl Peer {
    /// Starts it before the site's origin.
    pub async fn start(self, site: &Site) -> Result<Server> {
        match self {
            Self::Nginx => nginx::start(site).await,
            Self::Varnish => varnish::start(site).await,
            Self::Trafficserver => trafficserver::start(site).await,
            Self::Caddy => caddy::start(site).await,
            Self::Envoy => envoy::start(site).await,
            Self::Pool => ours::start_pool(site).await,
        }
    }

    /// The name it is known by.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Varnish => "varnish",
            Self::Trafficserver => "trafficserver",
            Self::Caddy => "caddy",
            Self::Envoy => "envoy",
            Self::Pool => "ours with http.workers = 0",
        }
    }
}

/// A program of the system: daemons are often outside a user's PATH.
fn installed(name: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    let mut files = folders.map(|folder| folder.join(name));
    files.find(|file| file.is_file()).with_context(|| format!("{name} is not installed"))
}

/// A program that `scripts/peer` keeps outside the clone.
fn fetched(name: &str) -> Result<PathBuf> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/peer");
    let output = Command::new(script).arg(name).output().context("running scripts/peer")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{name} cannot be had: {}", said.trim());
    Ok(String::from_utf8(output.stdout)?.trim().into())
}

/// The version that `program` says it has.
fn version(program: &Path, argument: &str) -> Result<String> {
    let output = Command::new(program).arg(argument).output();
    let output = output.with_context(|| format!("asking {} for its version", program.display()))?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    first_version(&said).with_context(|| format!("{} names no version: {said}", program.display()))
}

/// The first `1.2` or `1.2.3` in `text`.
fn first_version(text: &str) -> Option<String> {
    let words = text.split(|letter: char| !letter.is_ascii_digit() && letter != '.');
    let mut words = words.map(|word| word.trim_matches('.'));
    words.find(|word| word.split('.').count() > 1).map(ToOwned::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_what_programs_say() {
        for (said, version) in [
            ("nginx version: nginx/1.22.1\n", "1.22.1"),
            ("varnishd (varnish-7.1.1 revision 7cee1c58)\n", "7.1.1"),
            ("Traffic Server 9.2.9 Apr  4 2026 14:52:39 localhost\n", "9.2.9"),
            ("envoy  version: 9e5580/1.40.0/Clean/RELEASE/BoringSSL\n", "1.40.0"),
            ("v2.11.7 h1:yj0Y4fYZ=\n", "2.11.7"),
        ] {
            assert_eq!(first_version(said).as_deref(), Some(version));
        }
        assert_eq!(first_version("none. 7"), None);
    }
}
