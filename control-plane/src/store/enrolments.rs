//! Tokens for enrolment and the certificates that nodes have got, in the store.

use nearcast_api::NodeId;
use nearcast_api::snapshot::KeyHash;

use super::audit::Change;
use super::{Store, damaged, failed};
use crate::enrolment::{Limits, SLOW_CLOCKS};
use crate::error::{Error, Result};

/// A token for enrolment as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEnrolment {
    pub id: String,
    pub hash: KeyHash,
    pub limits: Limits,
    /// For people.
    pub label: String,
    /// Milliseconds since the Unix epoch, here and below.
    pub created_at: u64,
    pub expires_at: u64,
    /// When it was used, and by which node.
    pub used: Option<(u64, NodeId)>,
}

/// A node's certificate as it is stored: all but the certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredCertificate {
    /// Lower-case hex.
    pub serial: String,
    pub node: NodeId,
    /// What the node may be.
    pub limits: Limits,
    pub issued_at: u64,
    pub not_after: u64,
    /// When it was taken away.
    pub revoked_at: Option<u64>,
}

type CertificateRow = (String, String, String, i64, i64, Option<i64>);
type Row = (String, String, String, String, i64, i64, Option<i64>, Option<String>);

impl Store {
    /// All tokens for enrolment by id; those that ended more than `keep` milliseconds before `now` are removed.
    pub async fn enrolments(&self, now: u64, keep: u64) -> Result<Vec<StoredEnrolment>> {
        let over = sqlx::query("DELETE FROM enrolments WHERE expires_at < $1");
        let over = over.bind(now.saturating_sub(keep).cast_signed());
        over.execute(&self.pool).await.map_err(failed("forget enrolments that are over"))?;
        let query = sqlx::query_as::<_, Row>(
            "SELECT id, hash, limits, label, created_at, expires_at, used_at, used_by FROM enrolments ORDER BY id",
        );
        let rows = query.fetch_all(&self.pool).await.map_err(failed("read the enrolments"))?;
        rows.into_iter().map(enrolment).collect()
    }

    /// The token with this hash.
    pub async fn enrolment(&self, hash: &KeyHash) -> Result<Option<StoredEnrolment>> {
        let query = sqlx::query_as::<_, Row>(
            "SELECT id, hash, limits, label, created_at, expires_at, used_at, used_by FROM enrolments WHERE hash = $1",
        );
        let row =
            query.bind(&hash.0).fetch_optional(&self.pool).await.map_err(failed("read an enrolment"))?;
        row.map(enrolment).transpose()
    }

    /// All certificates of nodes that have not ended at `now`.
    pub async fn certificates(&self, now: u64) -> Result<Vec<StoredCertificate>> {
        let query = sqlx::query_as::<_, CertificateRow>(
            "SELECT serial, node, limits, issued_at, not_after, revoked_at FROM node_certificates WHERE not_after > $1",
        );
        let rows = query.bind(now.cast_signed()).fetch_all(&self.pool).await;
        rows.map_err(failed("read the nodes' certificates"))?.into_iter().map(certificate).collect()
    }
}

impl Change {
    /// Adds a token for enrolment.
    pub async fn add_enrolment(&mut self, enrolment: &StoredEnrolment) -> Result<()> {
        sqlx::query(
            "INSERT INTO enrolments (id, hash, limits, label, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(&enrolment.id)
        .bind(&enrolment.hash.0)
        .bind(limits(&enrolment.limits)?)
        .bind(&enrolment.label)
        .bind(enrolment.created_at.cast_signed())
        .bind(enrolment.expires_at.cast_signed())
        .execute(self.connection())
        .await
        .map_err(failed("add an enrolment"))?;
        Ok(())
    }

    /// Removes a token for enrolment.
    pub async fn delete_enrolment(&mut self, id: &str) -> Result<()> {
        let query = sqlx::query("DELETE FROM enrolments WHERE id = $1").bind(id);
        let done = query.execute(self.connection()).await.map_err(failed("delete an enrolment"))?;
        let missing = || Error::NoEnrolment(id.chars().take(64).collect());
        if done.rows_affected() == 1 { Ok(()) } else { Err(missing()) }
    }

    /// Removes the tokens that would let this node, and no other, in. How many there were.
    pub async fn delete_enrolments_of(&mut self, node: &NodeId) -> Result<u64> {
        let query =
            sqlx::query_as::<_, (String, String)>("SELECT id, limits FROM enrolments WHERE used_at IS NULL");
        let unused = query.fetch_all(self.connection()).await.map_err(failed("read enrolments"))?;
        let mut deleted = 0;
        for (id, limits) in unused {
            let limits: Limits = serde_json::from_str(&limits).map_err(|_| damaged("an enrolment", &id))?;
            if limits.node.as_ref() == Some(node) {
                self.delete_enrolment(&id).await?;
                deleted += 1;
            }
        }
        Ok(deleted)
    }

    /// The token is used, by this node, unless another was faster.
    pub async fn use_enrolment(&mut self, id: &str, node: &NodeId) -> Result<()> {
        let at = self.at().cast_signed();
        let query =
            sqlx::query("UPDATE enrolments SET used_at = $2, used_by = $3 WHERE id = $1 AND used_at IS NULL");
        let query = query.bind(id).bind(at).bind(node.as_str()).execute(self.connection()).await;
        let done = query.map_err(failed("use an enrolment"))?;
        if done.rows_affected() == 1 { Ok(()) } else { Err(Error::EnrolmentUsed) }
    }

    /// Adds a node's certificate, and removes those of all nodes that have ended long ago.
    pub async fn add_certificate(&mut self, certificate: &StoredCertificate) -> Result<()> {
        let failed = || failed("remember a certificate");
        let before = self.at().saturating_sub(SLOW_CLOCKS);
        let over =
            sqlx::query("DELETE FROM node_certificates WHERE not_after <= $1").bind(before.cast_signed());
        over.execute(self.connection()).await.map_err(failed())?;
        sqlx::query("INSERT INTO node_certificates (serial, node, limits, issued_at, not_after) VALUES ($1, $2, $3, $4, $5)")
            .bind(&certificate.serial)
            .bind(certificate.node.as_str())
            .bind(limits(&certificate.limits)?)
            .bind(certificate.issued_at.cast_signed())
            .bind(certificate.not_after.cast_signed())
            .execute(self.connection())
            .await
            .map_err(failed())?;
        Ok(())
    }

    /// Whether this certificate was taken away, as it is now: nobody changes it until this change is over.
    pub async fn is_revoked(&mut self, serial: &str) -> Result<bool> {
        let query = sqlx::query_scalar::<_, Option<i64>>(
            "SELECT revoked_at FROM node_certificates WHERE serial = $1",
        );
        let revoked = query.bind(serial).fetch_optional(self.connection()).await;
        // One that is not there any more has ended.
        Ok(revoked.map_err(failed("read a certificate"))?.is_none_or(|revoked_at| revoked_at.is_some()))
    }

    /// Takes all certificates of a node away that have not ended by every clock. How many there were.
    pub async fn revoke_certificates(&mut self, node: &NodeId) -> Result<u64> {
        let since = self.at().saturating_sub(SLOW_CLOCKS);
        let at = self.at().cast_signed();
        let query = sqlx::query(
            "UPDATE node_certificates SET revoked_at = $2 WHERE node = $1 AND revoked_at IS NULL AND not_after > $3",
        );
        let done =
            query.bind(node.as_str()).bind(at).bind(since.cast_signed()).execute(self.connection()).await;
        Ok(done.map_err(failed("revoke certificates"))?.rows_affected())
    }
}

fn enrolment(
    (id, hash, limits, label, created_at, expires_at, used_at, used_by): Row,
) -> Result<StoredEnrolment> {
    let used_by = used_by.map(|node| node.parse().map_err(|_| damaged("a node", &node))).transpose()?;
    Ok(StoredEnrolment {
        limits: serde_json::from_str(&limits).map_err(|_| damaged("an enrolment", &id))?,
        id,
        hash: KeyHash(hash),
        label,
        created_at: created_at.cast_unsigned(),
        expires_at: expires_at.cast_unsigned(),
        used: used_at.map(i64::cast_unsigned).zip(used_by),
    })
}

fn certificate(
    (serial, node, limits, issued_at, not_after, revoked_at): CertificateRow,
) -> Result<StoredCertificate> {
    Ok(StoredCertificate {
        serial,
        node: node.parse().map_err(|_| damaged("a node", &node))?,
        limits: serde_json::from_str(&limits).map_err(|_| damaged("a certificate", &limits))?,
        issued_at: issued_at.cast_unsigned(),
        not_after: not_after.cast_unsigned(),
        revoked_at: revoked_at.map(i64::cast_unsigned),
    })
}

fn limits(limits: &Limits) -> Result<String> {
    serde_json::to_string(limits).map_err(|_| damaged("what a node may be", "limits"))
}
