//! The audit log: looked through page by page, and exported whole.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use nearcast_api::Problem;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::auth::Admin;
use super::{Shared, extract};
use crate::error::{Error, Result};
use crate::store::{Entry, Page, Which};

/// A change that somebody made.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditEntry)]
pub(super) struct View {
    /// Later ones are greater.
    id: u64,
    /// Milliseconds since the Unix epoch.
    at: u64,
    /// `admin-token`, `token:ID` for an API token, `user:NAME` for who has signed in (of a refused sign-in: whom they said they
    /// were), `oidc` for who the identity provider brought and was not let in, or `nearcast-control` for what it did by itself.
    actor: String,
    /// Where the call came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    address: Option<String>,
    /// The operation's id in this document, or `refused`: for each actor and address once a minute.
    action: String,
    /// What was changed, as a path below `/api/v1/`; the call that was refused.
    target: String,
    /// What it was; left out where it is new. Secrets are left out always.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    before: Option<Value>,
    /// What it became; left out where it is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    after: Option<Value>,
}

/// Changes, newest first.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditLog)]
pub(super) struct Log {
    entries: Vec<View>,
    /// For `before` of the next request; left out when there are no older ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next: Option<u64>,
}

/// Which changes, and how many.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Filter {
    /// Only by this one, such as `token:abcdefgh`.
    #[serde(default)]
    actor: String,
    /// Only of this and what is below it, such as `channels/demo`.
    #[serde(default)]
    target: String,
    /// Only these, such as `deleteChannel`.
    #[serde(default)]
    action: String,
    /// Those before this one.
    before: Option<u64>,
    /// At most so many, 1 to 500.
    #[param(default = 100)]
    limit: Option<u32>,
}

/// From where on.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Since {
    /// Those after this one; left out for all.
    #[serde(default)]
    after: u64,
}

/// Who has changed what
#[utoipa::path(get, operation_id = "listAudit", path = "/audit", tag = "access", params(Filter), security(("token" = ["admin"])),
    responses((status = 200, body = Log), (status = "4XX", body = Problem, content_type = Problem::CONTENT_TYPE)))]
pub(super) async fn list(
    _: Admin,
    extract::Query(Filter { actor, target, action, before, limit }): extract::Query<Filter>,
    State(shared): State<Arc<Shared>>,
) -> Result<Json<Log>> {
    let limit = limit.unwrap_or(DEFAULT);
    if !(1..=MOST).contains(&limit) {
        return Err(Error::Invalid { field: "limit", problem: format!("use 1 to {MOST}") });
    }
    let which = Which { actor, target, action };
    // One more, to know whether there are more.
    let page = Page::Before(before.unwrap_or(u64::MAX));
    let mut entries = shared.plane.audit(&which, page, limit + 1).await?;
    let more = entries.len() > limit as usize;
    entries.truncate(limit as usize);
    let next = entries.last().filter(|_| more).map(|entry| entry.id);
    Ok(Json(Log { entries: entries.into_iter().map(View::from).collect(), next }))
}

/// All changes, a line of JSON for each, the oldest first
///
/// Ask again with the last one's `id` as `after` for those that came since.
#[utoipa::path(get, operation_id = "exportAudit", path = "/audit/export", tag = "access", params(Since), security(("token" = ["admin"])),
    responses((status = 200, body = View, content_type = "application/x-ndjson"),
        (status = "4XX", body = Problem, content_type = Problem::CONTENT_TYPE)))]
pub(super) async fn export(
    _: Admin,
    extract::Query(Since { after }): extract::Query<Since>,
    State(shared): State<Arc<Shared>>,
) -> Result<Response> {
    // The first page before the answer begins, so that a database that fails is a problem and no broken body.
    let first = shared.plane.audit(&Which::default(), Page::After(after), MOST).await?;
    let pages = stream::try_unfold((shared, first), async |(shared, page): (Arc<Shared>, Vec<Entry>)| {
        let Some(last) = page.last().map(|entry| entry.id) else { return Ok::<_, Error>(None) };
        let mut lines = Vec::new();
        for entry in page {
            // Made of strings and numbers; there is always a JSON form.
            lines.extend(serde_json::to_vec(&View::from(entry)).unwrap_or_default());
            lines.push(b'\n');
        }
        let next = shared.plane.audit(&Which::default(), Page::After(last), MOST).await?;
        Ok(Some((lines, (shared, next))))
    });
    let headers = [(CONTENT_TYPE, "application/x-ndjson"), (CACHE_CONTROL, "no-store")];
    Ok((headers, Body::from_stream(pages)).into_response())
}

impl From<Entry> for View {
    fn from(entry: Entry) -> Self {
        let Entry { id, at, actor, address, action, target, before, after } = entry;
        Self { id, at, actor, address, action, target, before, after }
    }
}

const DEFAULT: u32 = 100;
const MOST: u32 = 500;
