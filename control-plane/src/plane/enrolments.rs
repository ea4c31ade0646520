//! Nodes get certificates, keep them, and lose them.

use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};
use std::time::Instant;

use nearcast_api::NodeId;
use nearcast_api::enrol::{Issued, Request};
use serde_json::{Value, json};

use super::{Plane, unix_millis};
use crate::access::{Actor, Buckets, Line, Rate};
use crate::ca::{self, Authority};
use crate::enrolment::{Certificates, Limits, SLOW_CLOCKS};
use crate::error::{Error, Result, seconds};
use crate::store::{Store, StoredCertificate, StoredEnrolment};
use crate::webhooks::{About, Kind};
use crate::{keys, limits};

/// What the plane needs for them.
#[derive(Debug)]
pub(super) struct Enrolments {
    authority: Authority,
    /// Seconds.
    lifetime: u64,
    certificates: RwLock<Certificates>,
    tries: Mutex<Buckets<Line>>,
}

impl Enrolments {
    /// Makes the authority where there is none, once for all instances.
    pub(super) async fn open(config: &ca::Config, zone: &str, store: &Store) -> Result<Self> {
        let made = store.kept_secret("ca", Authority::make(zone, unix_millis())?).await?;
        let authority = Authority::read(&made, zone)?;
        let certificates = RwLock::new(certificates(store).await?);
        Ok(Self {
            authority,
            lifetime: config.node_lifetime,
            certificates,
            tries: Mutex::new(Buckets::new(TRIES, limits::MOST)),
        })
    }

    fn certificates(&self) -> RwLockReadGuard<'_, Certificates> {
        self.certificates.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Plane {
    /// Where nodes' certificates come from.
    pub fn authority(&self) -> &Authority {
        &self.enrolments.authority
    }

    /// The certificate with this serial number, if it counts now.
    pub fn certificate(&self, serial: &str) -> Result<Arc<StoredCertificate>> {
        self.enrolments.certificates().get(serial, unix_millis())
    }

    /// When the node's certificate ends, in milliseconds since the Unix epoch; none where it has none.
    pub fn certificate_ends_at(&self, node: &NodeId) -> Option<u64> {
        self.enrolments.certificates().until(node, unix_millis())
    }

    /// Refuses a node that was sent away and has come without its certificate.
    pub fn check_not_revoked(&self, node: &NodeId) -> Result<()> {
        match self.enrolments.certificates().is_revoked(node) {
            true => Err(Error::RevokedNode(node.clone())),
            false => Ok(()),
        }
    }

    /// All tokens for enrolment by id; what has become of one is known for a day longer than it counts.
    pub async fn enrolments(&self) -> Result<Vec<StoredEnrolment>> {
        self.store.enrolments(unix_millis(), KEEP).await
    }

    /// Makes a token for one node; `expires_in` in seconds. Gives it, and what is kept of it.
    pub async fn add_enrolment(
        &self,
        by: &Actor,
        limits: Limits,
        label: String,
        expires_in: u64,
    ) -> Result<(String, StoredEnrolment)> {
        let _changing = self.changing.lock().await;
        if self.enrolments().await?.len() >= MAX_ENROLMENTS {
            return Err(Error::Full { what: "enrolments", max: MAX_ENROLMENTS });
        }
        let (secret, now) = (format!("{PREFIX}{}", keys::random()), unix_millis());
        let stored = StoredEnrolment {
            id: keys::random_id(),
            hash: keys::hash(&secret),
            limits,
            label,
            created_at: now,
            expires_at: now.saturating_add(expires_in.saturating_mul(1000)),
            used: None,
        };
        let target = format!("enrolments/{}", stored.id);
        let mut change = self.store.change(by, "createEnrolment", target, now).await?;
        change.add_enrolment(&stored).await?;
        change.after(&told(&stored));
        change.commit().await?;
        Ok((format!("{secret}.{}", self.authority().fingerprint()), stored))
    }

    /// Takes a token away. What it has let in stays.
    pub async fn delete_enrolment(&self, by: &Actor, id: &str) -> Result<()> {
        let _changing = self.changing.lock().await;
        let old = self.enrolments().await?.into_iter().find(|one| one.id == id);
        let mut change =
            self.store.change(by, "deleteEnrolment", format!("enrolments/{id}"), unix_millis()).await?;
        change.delete_enrolment(id).await?;
        change.before(&old.as_ref().map(told));
        change.commit().await
    }

    /// A node shows its token and gets its first certificate. `from` is nobody yet.
    pub async fn enrol(&self, from: Actor, request: &Request) -> Result<Issued> {
        if let Some(address) = from.address {
            let mut tries = self.enrolments.tries.lock().unwrap_or_else(PoisonError::into_inner);
            let allowed = tries.take(&address.into(), Instant::now());
            allowed.map_err(|wait| Error::TooManyCalls { seconds: seconds(wait) })?;
        }
        let secret = request.token.split('.').next().unwrap_or_default();
        // By its hash: what the time of this look tells is of no use to who guesses tokens.
        let found = self.store.enrolment(&keys::hash(secret)).await?;
        let found = found.ok_or(Error::WrongEnrolment)?;
        let actor = Actor { name: format!("enrolment:{}", found.id), ..from };
        let enrolled = self.enrol_by(&actor, &found, request).await;
        if let Err(why) = &enrolled {
            self.refused(&actor, "POST api/v1/enrol", why).await;
        }
        enrolled
    }

    async fn enrol_by(&self, by: &Actor, token: &StoredEnrolment, request: &Request) -> Result<Issued> {
        let Request { node, role, region, csr, .. } = request;
        let _changing = self.changing.lock().await;
        let now = unix_millis();
        if token.used.is_some() {
            return Err(Error::EnrolmentUsed);
        }
        if now >= token.expires_at {
            return Err(Error::EnrolmentOver);
        }
        token.limits.check(node, *role, region)?;
        // Whoever may have any name must not have that of another.
        let is_taken = self.enrolments.certificates().count(node, now) > 0 || self.member(node).is_ok();
        if token.limits.node.is_none() && is_taken {
            return Err(Error::NodeEnrolled(node.clone()));
        }
        let issued = self.authority().issue(csr, node, self.enrolments.lifetime, now)?;
        let mut change = self.store.change(by, "enrolNode", format!("nodes/{node}"), now).await?;
        change.use_enrolment(&token.id, node).await?;
        change.add_certificate(&stored(&issued, node, &token.limits, now)).await?;
        change.after(&json!({ "serial": issued.serial, "not_after": issued.not_after, "role": role, "region": region }));
        change.commit().await?;
        self.in_force(self.reload_certificates()).await?;
        Ok(self.answer(node, issued))
    }

    /// A node gets its next certificate, for the one it has or because an admin says so.
    pub async fn renew(
        &self,
        by: &Actor,
        node: &NodeId,
        has: Option<&StoredCertificate>,
        csr: &str,
    ) -> Result<Issued> {
        let _changing = self.changing.lock().await;
        let now = unix_millis();
        let mut change =
            self.store.change(by, "renewCertificate", format!("nodes/{node}/certificate"), now).await?;
        // It may have been sent away since the call came in, by another instance too.
        if let Some(has) = has
            && change.is_revoked(&has.serial).await?
        {
            return Err(Error::RevokedNode(node.clone()));
        }
        let limits = has.map_or_else(Limits::default, |has| has.limits.clone());
        if self.enrolments.certificates().count(node, now) >= MAX_CERTIFICATES {
            return Err(Error::TooManyCertificates { node: node.clone(), max: MAX_CERTIFICATES });
        }
        let issued = self.authority().issue(csr, node, self.enrolments.lifetime, now)?;
        change.add_certificate(&stored(&issued, node, &limits, now)).await?;
        change.after(&json!({ "serial": issued.serial, "not_after": issued.not_after }));
        change.commit().await?;
        self.in_force(self.reload_certificates()).await?;
        Ok(self.answer(node, issued))
    }

    /// Takes all certificates of a node away and forgets it. What it waits for ends now.
    pub async fn revoke_node(&self, by: &Actor, node: &NodeId) -> Result<()> {
        let _changing = self.changing.lock().await;
        let mut change = self.store.change(by, "revokeNode", format!("nodes/{node}"), unix_millis()).await?;
        let certificates = change.revoke_certificates(node).await?;
        if certificates == 0 {
            return Err(Error::NoCertificate(node.clone()));
        }
        if let Ok(member) = self.member(node) {
            change.tell(Kind::NodeForgotten, About::node(&member.spec)).await?;
        }
        change.delete_node(node).await?;
        // Whoever has the node may have those as well.
        let tokens = change.delete_enrolments_of(node).await?;
        change.after(&json!({ "certificates": certificates, "tokens": tokens }));
        change.commit().await?;
        // First what calls are let in by: the snapshot wakes those that wait, and they are looked at again.
        self.in_force(self.reload_certificates()).await?;
        let revoked = self.enrolments.certificates().revoked();
        self.change(|fleet| {
            // One that has enrolled and never registered is in no fleet.
            let _unknown = fleet.remove(node);
            fleet.set_revoked_nodes(revoked);
        });
        Ok(())
    }

    pub(super) async fn reload_certificates(&self) -> Result<()> {
        let all = certificates(&self.store).await?;
        *self.enrolments.certificates.write().unwrap_or_else(PoisonError::into_inner) = all;
        Ok(())
    }

    fn answer(&self, node: &NodeId, issued: ca::Issued) -> Issued {
        let ca::Issued { pem: certificate, not_after, .. } = issued;
        Issued { node: node.clone(), certificate, ca: self.authority().pem().to_owned(), not_after }
    }
}

pub(super) async fn certificates(store: &Store) -> Result<Certificates> {
    Ok(Certificates::new(store.certificates(unix_millis().saturating_sub(SLOW_CLOCKS)).await?))
}

fn stored(issued: &ca::Issued, node: &NodeId, limits: &Limits, now: u64) -> StoredCertificate {
    let (serial, not_after) = (issued.serial.clone(), issued.not_after);
    let limits = limits.clone();
    StoredCertificate { serial, node: node.clone(), limits, issued_at: now, not_after, revoked_at: None }
}

/// What the audit log says of a token.
fn told(enrolment: &StoredEnrolment) -> Value {
    let StoredEnrolment { limits, label, expires_at, .. } = enrolment;
    json!({ "for": limits, "label": label, "expires_at": expires_at })
}

/// So that people and scanners of leaked secrets see what it is.
const PREFIX: &str = "nce_";
/// A rack of nodes behind one address may start together; others try again a little later.
const TRIES: Rate = Rate { per_second: 0.5, burst: 30 };
/// Milliseconds.
const KEEP: u64 = 24 * 3600 * 1000;
const MAX_ENROLMENTS: usize = 1_000;
/// A node that renews as it should has two.
const MAX_CERTIFICATES: usize = 32;
