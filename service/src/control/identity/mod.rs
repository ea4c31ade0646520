//! Who this node is to the control plane: a certificate that it gets with a one-time token and renews by itself.

mod folder;
mod schedule;
mod token;

use std::time::{Duration, SystemTime};

use http::{Method, StatusCode};
use nearcast_api::enrol::{Issued, Renewal, Request};
use nearcast_api::node::Spec;
use rcgen::{CertificateParams, KeyPair};
use rustls_pki_types::CertificateDer;
use tokio::sync::watch;

use super::Config;
use super::call::{Api, CallError};
use crate::backoff::Backoff;
use crate::client::{self, Http, Trust};
use crate::log::Chain;
use crate::tls::Identity;
use crate::{Error, Result};

use folder::Folder;
use schedule::{Schedule, Step};
pub(super) use token::Token;

/// Keeps the certificate the newest one, on disk and in the client.
#[derive(Debug)]
pub(super) struct Keeper {
    folder: Folder,
    token: Option<Token>,
    current: watch::Sender<Option<Identity>>,
    client: client::Config,
    urls: Vec<String>,
    spec: Spec,
}

/// Why there is no new certificate.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Call(#[from] CallError),
    #[error("cannot make a key or a signing request")]
    Make(#[from] rcgen::Error),
    #[error("the certificate that the control plane gave cannot be used")]
    Unusable(#[source] std::io::Error),
    #[error(transparent)]
    Client(#[from] Error),
}

impl Keeper {
    /// Reads what is kept. `None` where the control plane is not asked over TLS: nobody could be shown a certificate.
    pub(super) fn load(config: &Config, spec: &Spec) -> Option<Self> {
        if !config.is_secure() {
            return None;
        }
        // The configuration was checked.
        let token = Token::parse(&config.enrolment_token).ok();
        let folder = Folder(config.identity(&spec.id));
        let now = SystemTime::now();
        let current = folder.identity().filter(|identity| {
            let valid = identity.period().contains(&now);
            if !valid && token.is_none() {
                tracing::warn!("{OVER}");
            }
            valid
        });
        let client = client::Config { ca: config.ca.clone(), ..client::Config::default() };
        let urls = config.urls().map(str::to_owned).collect();
        let current = watch::Sender::new(current);
        Some(Self { folder, token, current, client, urls, spec: spec.clone() })
    }

    /// The client that shows what there is.
    pub(super) fn http(&self) -> Result<Http> {
        let trust = Trust { authorities: self.authorities(), pin: self.pin() };
        Http::mutual(&self.client, &trust, self.current.borrow().as_ref())
    }

    /// Whether there is neither a certificate nor a token to get one with.
    pub(super) fn has_nothing(&self) -> bool {
        self.token.is_none() && self.current.borrow().is_none()
    }

    /// What this node shows, as it changes.
    pub(super) fn identity(&self) -> watch::Receiver<Option<Identity>> {
        self.current.subscribe()
    }

    fn authorities(&self) -> Vec<CertificateDer<'static>> {
        self.current.borrow().iter().flat_map(Identity::authorities).cloned().collect()
    }

    /// Enrols if there is a reason to, lets `settled` go, and renews for ever. `api` is switched to what is newest.
    pub(super) async fn run(mut self, api: Api, settled: watch::Sender<bool>) {
        if let Some(token) = self.token.clone().filter(|token| !self.is_used(token)) {
            self.enrol(&api, &token, &settled).await;
        }
        settled.send_replace(true);
        let Some(period) = self.current.borrow().as_ref().map(|identity| identity.period().clone()) else {
            return;
        };
        let mut schedule = Schedule::new(period, rand::random());
        let mut complained = false;
        loop {
            let now = SystemTime::now();
            match schedule.step(now) {
                Step::Wait(wait) => tokio::time::sleep(wait).await,
                Step::Renew => match self.renew(&api).await {
                    Ok(identity) => {
                        complained = false;
                        schedule = Schedule::new(identity.period().clone(), rand::random());
                    }
                    Err(error) => {
                        if !std::mem::replace(&mut complained, true) {
                            tracing::warn!(
                                "cannot renew this node's certificate, trying on: {}",
                                Chain(&error)
                            );
                        }
                        schedule.failed(SystemTime::now(), rand::random());
                    }
                },
                Step::Over => {
                    tracing::error!("{OVER}");
                    // Servers refuse the connection of whoever shows one that is over.
                    self.current.send_replace(None);
                    if let Ok(http) = self.http() {
                        api.switch(http);
                    }
                    return;
                }
            }
        }
    }

    fn is_used(&self, token: &Token) -> bool {
        self.current.borrow().is_some() && self.folder.has_used(&token.hash())
    }

    fn pin(&self) -> Option<[u8; 32]> {
        self.token.as_ref().and_then(|token| token.pin)
    }

    /// Asks until there is a certificate or the token is refused for good.
    async fn enrol(&mut self, api: &Api, token: &Token, settled: &watch::Sender<bool>) {
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(30));
        let mut complained = false;
        loop {
            match self.try_to_enrol(api, token).await {
                Ok(identity) => {
                    if let Err(error) = self.folder.use_up(&token.hash()) {
                        tracing::warn!("the token will be tried again at the next start: {}", Chain(&error));
                    }
                    let until = httpdate::fmt_http_date(identity.period().end);
                    return tracing::info!(node = %self.spec.id, until, "enrolled: this node has a certificate of its own");
                }
                Err(error) if error.is_final() => {
                    return tracing::error!(
                        "this node could not enrol: {}; put a new token into `control.enrolment_token`",
                        Chain(&error)
                    );
                }
                Err(error) => {
                    if !std::mem::replace(&mut complained, true) {
                        tracing::warn!("cannot enrol yet, trying on: {}", Chain(&error));
                    }
                    // Nobody waits for what may take long, if there is something to go on with.
                    settled.send_replace(self.current.borrow().is_some());
                    tokio::time::sleep(backoff.delay()).await;
                }
            }
        }
    }

    async fn try_to_enrol(&mut self, api: &Api, token: &Token) -> Result<Identity, Failure> {
        let (key, csr) = request()?;
        let Spec { id: node, role, region, .. } = self.spec.clone();
        let body = Request { token: token.text.clone(), node, role, region, csr };
        // Without the certificate that there may be: it may be revoked, and this is to replace it.
        let trust = Trust { authorities: self.authorities(), pin: token.pin };
        let http = Http::mutual(&self.client, &trust, None)?;
        let door = Api::new(self.urls.iter().map(String::as_str), "", http)?;
        let issued = door.call::<Issued>(Method::POST, "/enrol", Some(&body), DEADLINE).await?;
        self.take(api, issued, &key).await
    }

    async fn renew(&mut self, api: &Api) -> Result<Identity, Failure> {
        let (key, csr) = request()?;
        let path = format!("/nodes/{}/certificate", self.spec.id);
        let issued = api.call::<Issued>(Method::POST, &path, Some(&Renewal { csr }), DEADLINE).await?;
        self.take(api, issued, &key).await
    }

    /// Keeps a new certificate and goes on with it. What is on its way stays on its way.
    async fn take(&mut self, api: &Api, issued: Option<Issued>, key: &KeyPair) -> Result<Identity, Failure> {
        let missing = || Failure::Unusable(std::io::Error::other("there is none in the answer"));
        let Issued { certificate, ca, .. } = issued.ok_or_else(missing)?;
        let pem = format!("{certificate}{ca}{}", key.serialize_pem());
        let identity = Identity::from_pem(pem.as_bytes()).map_err(Failure::Unusable)?;
        let folder = Folder(self.folder.0.clone());
        let kept = tokio::task::spawn_blocking(move || folder.keep(&pem)).await;
        if let Err(error) = kept.unwrap_or_else(|panicked| Err(std::io::Error::other(panicked))) {
            // The token is used up: what it gave is of use as long as this process lives.
            tracing::warn!(
                "cannot keep this node's certificate, a restart would need a new token: {}; make {} writable",
                Chain(&error),
                self.folder.0.display()
            );
        }
        self.current.send_replace(Some(identity.clone()));
        api.switch(self.http()?);
        tracing::debug!("a new certificate is in use");
        Ok(identity)
    }
}

impl Failure {
    /// Asking again would not help.
    fn is_final(&self) -> bool {
        match self {
            Self::Call(error) => error.status().is_some_and(|status| {
                status.is_client_error()
                    && !matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT)
            }),
            Self::Make(_) | Self::Unusable(_) | Self::Client(_) => false,
        }
    }
}

/// A new ECDSA P-256 key, and a request (PKCS #10) that shows that it is there. Names are the control plane's to give.
fn request() -> Result<(KeyPair, String), rcgen::Error> {
    let key = KeyPair::generate()?;
    let csr = CertificateParams::default().serialize_request(&key)?.pem()?;
    Ok((key, csr))
}

/// Waits until it is clear with what the control plane is asked.
pub(super) async fn settled(mut settled: watch::Receiver<bool>) {
    // When nobody is left to say so, it is.
    let _whichever = settled.wait_for(|settled| *settled).await;
}

const OVER: &str = "this node's certificate has ended: make a token with `nearcast-control node enrol` and put it into \
                    `control.enrolment_token` and start it again; until then it goes on with the last snapshot, and asks other \
                    nodes without a certificate, or with `control.mutual_tls` not at all";

const DEADLINE: Duration = Duration::from_secs(10);
