//! A certificate from an ACME server (RFC 8555), proven by TLS-ALPN-01 (RFC 8737), kept on disk and renewed.

mod challenges;
mod folder;
mod http;
mod order;
mod schedule;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ::http::Uri;
use futures_util::FutureExt;
use rustls::sign::CertifiedKey;
use rustls_pki_types::DnsName;
use serde::{Deserialize, Serialize};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

use super::leaf::{dns_names, period};
use super::resolver::Resolver;
use crate::client::{self, Http};
use crate::daemon::Daemon;
use crate::log::Chain;
use crate::{Error, Result};

pub(super) use challenges::Challenges;
pub(crate) use challenges::PROTOCOL;

use folder::Folder;
use schedule::Schedule;

/// `[tls.acme]`: a certificate that renews itself.
///
/// The ACME server connects to port 443 of each name, which has to arrive at `http.listen` of this node: so the names
/// are those of this node alone. A name that several nodes share needs a certificate in files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// DNS names of the certificate; empty for no ACME. With `tls.certificate` it is for clients that ask for one of
    /// them, without for all.
    pub names: Vec<String>,
    /// URL of the ACME server's directory.
    pub directory: String,
    /// True when you agree to the terms of service of that server.
    pub agree_to_terms: bool,
    /// Mail address for its messages to you; empty for none.
    pub contact: String,
    /// Where account and certificates are kept. Only the owner can read what is written there.
    pub folder: PathBuf,
    /// PEM file of the authorities to trust in `directory`; empty for the system's.
    pub ca: PathBuf,
}

/// The certificate that is to be had.
#[derive(Debug, Clone)]
pub(super) struct Acme {
    config: Config,
    folder: Folder,
    http: Http,
    /// Its slot.
    slot: usize,
}

/// Keeps a certificate good.
struct Keeper {
    acme: Acme,
    resolver: Arc<Resolver>,
    schedule: Schedule,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            names: Vec::new(),
            directory: "https://acme-v02.api.letsencrypt.org/directory".into(),
            agree_to_terms: false,
            contact: String::new(),
            folder: "data/acme".into(),
            ca: PathBuf::new(),
        }
    }
}

impl Config {
    /// Says what cannot work, if anything.
    pub(super) fn check(&self) -> Result<(), String> {
        let wrong = |key: &str, why: &str| Err(format!("`tls.acme.{key}` {why}"));
        if !self.is_on() {
            return match *self == Self::default() {
                true => Ok(()),
                false => {
                    wrong("names", "is empty: name what the certificate is for, or leave out [tls.acme]")
                }
            };
        }
        for name in &self.names {
            if DnsName::try_from(name.as_str()).is_err()
                || name.ends_with('.')
                || *name != name.to_lowercase()
            {
                return Err(format!(
                    "`tls.acme.names` has {name:?}: DNS names in lower case, without wildcards, can be proven"
                ));
            }
        }
        if self.names.len() > MOST {
            return wrong("names", "has more than 100 names, which ACME servers refuse");
        }
        let directory = self.directory.parse::<Uri>().ok();
        if directory.is_none_or(|url| url.scheme_str() != Some("https") || url.host().is_none()) {
            return wrong("directory", "is no URL that begins with https://");
        }
        if !self.agree_to_terms {
            return wrong("agree_to_terms", "is false: read the ACME server's terms, and agree with true");
        }
        if !self.contact.is_empty() && (!self.contact.contains('@') || self.contact.contains([':', ' ', ',']))
        {
            return wrong("contact", "is no mail address: use name@example.net");
        }
        self.http().map(drop).map_err(|error| format!("[tls.acme]: {}", Chain(&error)))
    }

    pub(super) fn is_on(&self) -> bool {
        !self.names.is_empty()
    }

    fn http(&self) -> Result<Http> {
        Http::new(&client::Config { ca: self.ca.clone(), ..client::Config::default() })
    }
}

impl Acme {
    /// Reads what is on disk. The certificate's slot is `slot`; one that is kept comes back too.
    pub(super) fn load(config: &Config, slot: usize) -> Result<(Self, Option<CertifiedKey>)> {
        let folder = Folder::new(config);
        let kept = folder.certificate();
        Ok((Self { config: config.clone(), folder, http: config.http()?, slot }, kept))
    }

    /// Gets the certificate and renews it until draining begins. The daemon is not ready before the first one is there
    /// or could not be had, nor for long.
    pub(super) fn start(self, resolver: Arc<Resolver>, daemon: &Daemon) {
        let usable = self.folder.certificate().filter(|kept| self.fits(kept));
        let attempts = self.folder.attempts(&self.config.names);
        let schedule = Schedule::new(attempts, usable.as_ref().and_then(period).as_ref(), rand::random());
        let (first, answered) = oneshot::channel::<()>();
        let wait = schedule.wait(SystemTime::now());
        if usable.is_none() {
            tracing::warn!(
                names = ?self.config.names,
                wait_s = wait.as_secs(),
                "clients are shown another certificate until {} has given one", self.config.directory
            );
        }
        // Where it has been tried already there is nothing to wait for.
        if usable.is_none() && wait.is_zero() && !daemon.sockets.is_successor() {
            let hold = daemon.ready.hold();
            daemon.drain.spawn("first certificate", async move {
                // What comes is only the end of the other side.
                let _ = tokio::time::timeout(FIRST, answered).await;
                drop(hold);
            });
        }
        let keeper = Keeper { acme: self, resolver, schedule };
        let daemon = daemon.clone();
        daemon.drain.clone().spawn("ACME", async move {
            let keeping = keeper.keep(&daemon, first);
            daemon.drain.unless_draining(keeping).await
        });
    }

    fn fits(&self, certified: &CertifiedKey) -> bool {
        let names = dns_names(certified);
        self.config.names.iter().all(|name| names.contains(name))
    }
}

impl Keeper {
    async fn keep(mut self, daemon: &Daemon, first: oneshot::Sender<()>) {
        let mut hangup = match signal(SignalKind::hangup()) {
            Ok(hangup) => hangup,
            Err(error) => return tracing::error!("certificates are not renewed: {}", Chain(&error)),
        };
        if daemon.sockets.is_successor() {
            // As long as the process before accepts too, it would be asked for proofs that it does not have.
            daemon.ready.opened().await;
        }
        tokio::time::sleep(SETTLE).await;
        let mut first = Some(first);
        loop {
            if self.schedule.wait(SystemTime::now()).is_zero() {
                // Whoever has asked before now gets this one.
                while hangup.recv().now_or_never().is_some() {}
                self.attempt().await;
            }
            drop(first.take());
            self.rest(&mut hangup).await;
        }
    }

    /// Waits until it is time. The system's clock may be set meanwhile, so it is looked at again and again.
    async fn rest(&mut self, hangup: &mut Signal) {
        loop {
            let wait = self.schedule.wait(SystemTime::now());
            if wait.is_zero() {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(wait.min(LOOK)) => {}
                _ = hangup.recv() => self.schedule.ask(),
            }
        }
    }

    async fn attempt(&mut self) {
        let renewed = self.renew().await;
        let Config { names, directory, .. } = &self.acme.config;
        match renewed {
            Ok(expires) => tracing::info!(?names, expires, "the certificate from {directory} is in use"),
            Err(error) => tracing::warn!(
                ?names,
                wait_s = self.schedule.wait(SystemTime::now()).as_secs(),
                "no certificate, the one in use stays; SIGHUP tries again at once: {}",
                Chain(&error)
            ),
        }
    }

    /// Gets a certificate, puts it on disk and into use; when it expires.
    async fn renew(&mut self) -> Result<String> {
        let Acme { config, folder, http, slot } = &self.acme;
        tracing::info!(names = ?config.names, "asking {} for a certificate", config.directory);
        let attempts = self.schedule.begin(SystemTime::now(), rand::random()).clone();
        // First, so that nothing is asked for that could not be kept.
        on_disk(folder, move |folder| folder.keep_attempts(&attempts)).await?;
        let client = http::Client(http.clone());
        let pem = order::certificate(config, folder, client, self.resolver.challenges()).await?;
        let unusable = |reason: String| Error::AcmeCertificate { reason };
        let certified =
            crate::tls::pair::from_pem(pem.as_bytes()).map_err(|error| unusable(error.to_string()))?;
        if !self.acme.fits(&certified) {
            return Err(unusable(format!("it is for {:?}", dns_names(&certified))));
        }
        let period = period(&certified).ok_or_else(|| unusable("it has no period".into()))?;
        let attempts = self.schedule.done(&period, SystemTime::now(), rand::random()).cloned();
        let expires = httpdate::fmt_http_date(period.end);
        let old = || unusable(format!("it expires {expires}, too soon: is the clock of this machine right?"));
        let attempts = attempts.ok_or_else(old)?;
        self.resolver.put(*slot, certified);
        let kept = on_disk(folder, move |folder| {
            folder.keep_certificate(&pem)?;
            folder.keep_attempts(&attempts)
        });
        if let Err(error) = kept.await {
            tracing::error!(
                "the next start will not have the certificate that is in use now: {}",
                Chain(&error)
            );
        }
        Ok(expires)
    }
}

/// Writes without holding up those who serve.
async fn on_disk(folder: &Folder, write: impl FnOnce(Folder) -> Result<()> + Send + 'static) -> Result<()> {
    let folder = folder.clone();
    let written = tokio::task::spawn_blocking(move || write(folder)).await;
    written.unwrap_or_else(|panicked| Err(Error::Runtime(std::io::Error::other(panicked))))
}

/// Names in one certificate; Let's Encrypt's limit.
const MOST: usize = 100;
/// How long a start waits for its first certificate. A successor has a minute to become ready.
const FIRST: Duration = Duration::from_secs(30);
/// Before the first question: a new node's name is in the DNS once the control plane has heard of it, and a process
/// that is replaced still accepts what was on its way.
const SETTLE: Duration = Duration::from_secs(5);
/// At most, from one look at the clock to the next.
const LOOK: Duration = Duration::from_secs(60 * 60);

#[cfg(test)]
mod tests;
