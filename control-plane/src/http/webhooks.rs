//! Webhooks: made (their secret shown once), listed, changed, tested, deleted.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, ETAG, LOCATION};
use http::{HeaderName, StatusCode};
use nearcast_api::{ChannelId, Problem};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::auth::{Caller, LimitedPublisher};
use super::page::Page;
use super::webhook_deliveries::View as Delivery;
use super::{Shared, extract};
use crate::access::Scope;
use crate::error::{Error, Result};
use crate::plane::IfMatch;
use crate::store::StoredWebhook;
use crate::webhooks::{Kind, Spec};

/// A webhook without its secret.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Webhook)]
pub(super) struct View {
    id: String,
    /// Where deliveries are sent.
    url: String,
    label: String,
    /// What its receiver is told; none for everything.
    events: Vec<Kind>,
    /// Only what happens to these; none for everything.
    channels: Vec<ChannelId>,
    /// False: nothing is sent, and what happens meanwhile is not told later.
    enabled: bool,
    /// Why the control plane disabled it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    disabled_because: Option<String>,
    /// Milliseconds since the Unix epoch.
    created_at: u64,
    /// Until then the secret before this one signs as well, in milliseconds since the Unix epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    old_secret_until: Option<u64>,
}

/// Webhooks by id.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WebhookList)]
pub(super) struct List {
    webhooks: Vec<View>,
    /// For `cursor` of the next request; left out when there are no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next: Option<String>,
}

/// A webhook with its secret, for the only time.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WebhookWithSecret)]
pub(super) struct WithSecret {
    #[serde(flatten)]
    view: View,
    /// What deliveries are signed with: `whsec_` and the key in base64. It is shown this once.
    secret: String,
}

/// A webhook to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CreateWebhook)]
pub(super) struct Create {
    /// `https://`, at most 2048 bytes, at a public address, unless the configuration's `[webhooks]` allows others.
    url: String,
    /// For people, at most 100 characters.
    #[serde(default)]
    label: String,
    /// What its receiver is told; left out or empty for everything. Those of nodes need the scope operator.
    #[serde(default)]
    events: Vec<Kind>,
    /// Only what happens to these channels, at most 100; left out or empty for everything.
    #[serde(default)]
    channels: Vec<ChannelId>,
    /// True when left out.
    #[serde(default = "yes")]
    enabled: bool,
}

/// What changes; what is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ChangeWebhook)]
pub(super) struct Change {
    /// As for a new one.
    url: Option<String>,
    /// As for a new one.
    label: Option<String>,
    /// As for a new one; all of them, not only those that are new.
    events: Option<Vec<Kind>>,
    /// As for a new one; all of them, not only those that are new.
    channels: Option<Vec<ChannelId>>,
    enabled: Option<bool>,
}

impl From<StoredWebhook> for View {
    fn from(StoredWebhook { id, spec, disabled_because, old_secret, created_at, .. }: StoredWebhook) -> Self {
        let Spec { url, label, events, channels, enabled } = spec;
        let old_secret_until = old_secret.map(|(_, until)| until);
        Self { id, url, label, events, channels, enabled, disabled_because, created_at, old_secret_until }
    }
}

impl From<StoredWebhook> for WithSecret {
    fn from(webhook: StoredWebhook) -> Self {
        Self { secret: webhook.secret.expose().to_owned(), view: webhook.into() }
    }
}

/// All webhooks that the token may see
///
/// Those of its channels, and with the scope operator those that are told of nodes.
#[utoipa::path(get, operation_id = "listWebhooks", path = "/webhooks", tag = "webhooks", params(Page), security(("token" = ["publisher"])),
    responses((status = 200, body = List), (status = "4XX", body = Problem, content_type = Problem::CONTENT_TYPE)))]
pub(super) async fn list(
    LimitedPublisher(caller): LimitedPublisher,
    extract::Query(page): extract::Query<Page>,
    State(shared): State<Arc<Shared>>,
) -> Result<Json<List>> {
    let mut webhooks = shared.plane.webhooks().await?;
    webhooks.retain(|webhook| allowed(&caller, &webhook.spec).is_ok());
    let (webhooks, next) = page.of(webhooks, |webhook| webhook.id.clone())?;
    Ok(Json(List { webhooks: webhooks.into_iter().map(View::from).collect(), next }))
}

/// Make a webhook
///
/// There may be 1000, and 10 for each channel. A token that is limited to channels makes them for those only.
#[utoipa::path(post, operation_id = "createWebhook", path = "/webhooks", tag = "webhooks", request_body = Create, security(("token" = ["publisher"])),
    responses((status = 201, body = WithSecret),
        (status = 409, body = Problem, content_type = Problem::CONTENT_TYPE, description = "There are too many"),
        (status = "4XX", body = Problem, content_type = Problem::CONTENT_TYPE)))]
pub(super) async fn create(
    LimitedPublisher(caller): LimitedPublisher,
    State(shared): State<Arc<Shared>>,
    extract::Json(Create { url, label, events, channels, enabled }): extract::Json<Create>,
) -> Result<Response> {
    let spec = checked(&shared, Spec { url, label, events, channels, enabled })?;
    caller.noted(&shared, allowed(&caller, &spec)).await?;
    let webhook = shared.plane.create_webhook(&caller.actor, spec).await?;
    let location = [(LOCATION, format!("{}/webhooks/{}", super::PREFIX, webhook.id))];
    Ok((StatusCode::CREATED, location, secret(webhook)).into_response())
}

/// One webhook
#[utoipa::path(get, operation_id = "showWebhook", path = "/webhooks/{webhook}", tag = "webhooks", params(("webhook" = String, Path)),
    security(("token" = ["publisher"])),
    responses((status = 200, body = View), (status = "4XX", body = Problem, content_type = Problem::CONTENT_TYPE)))]
pub(super) async fn show(
    LimitedPublisher(caller): LimitedPublisher,
    extract::Path(id): extract::Path<String>,
    State(shared): State<Arc<Shared>>,
) -> Result<Tagged> {
    Ok(tagged(find(&shared, &caller, &id).await?))
}

/// Change a webhook
///
/// With `If-Match`, only if its `ETag` is still that one. What waits for its receiver is sent to the new URL.
#[utoipa::path(patch, operation_id = "changeWebhook", path = "/webhooks/{webhook}", tag = "webhooks",
    params(("webhook" = String, Path), ("If-Match" = Option<String>, Header)), request_body = Change, security(("token" = ["publisher"])),
    responses((status = 200, body = View), (status = "4XX", body = Problem, content_type = Problem::CONTENT_TYPE)))]
pub(super) async fn change(
    LimitedPublisher(caller): LimitedPublisher,
    extract::Path(id): extract::Path<String>,
    only: IfMatch,
    State(shared): State<Arc<Shared>>,
    extract::Json(change): extract::Json<Change>,
) -> Result<Tagged> {
    let seen = find(&shared, &caller, &id).await?;
    let new = |old: &Spec| {
        // Somebody may have given it to others since.
        allowed(&caller, old)?;
        let spec = checked(&shared, change.of(old.clone()))?;
        allowed(&caller, &spec)?;
        Ok(spec)
    };
    caller.noted(&shared, allowed(&caller, &change.of(seen.spec))).await?;
    Ok(tagged(shared.plane.change_webhook(&caller.actor, &id, &only, new).await?))
}

/// Delete a webhook and its deliveries
///
/// What waits for its receiver is not sent. With `If-Match`, only if its `ETag` is still that one.
#[utoipa::path(delete, operation_id = "deleteWebhook", path = "/webhooks/{webhook}", tag = "webhooks",
    params(("webhook" = String, Path), ("If-Match" = Option<String>, Header)), security(("token" = ["publisher"])),
    responses((status = 204), (status = "4XX", body = Problem, content_type = Problem::CONTENT_TYPE)))]
pub(super) async fn delete(
    LimitedPublisher(caller): LimitedPublisher,
    extract::Path(id): extract::Path<String>,
    only: IfMatch,
    State(shared): State<Arc<Shared>>,
) -> Result<StatusCode> {
    find(&shared, &caller, &id).await?;
    shared.plane.delete_webhook(&caller.actor, &id, &only).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Give a webhook a new secret
///
/// For 24 hours deliveries carry a signature of the old one as well, so that receivers can change in their own time.
#[utoipa::path(post, operation_id = "rotateWebhookSecret", path = "/webhooks/{webhook}/rotate-secret", tag = "webhooks",
    params(("webhook" = String, Path)), security(("token" = ["publisher"])),
    responses((status = 200, body = WithSecret), (status = "4XX", body = Problem, content_type = Problem::CONTENT_TYPE)))]
pub(super) async fn rotate_secret(
    LimitedPublisher(caller): LimitedPublisher,
    extract::Path(id): extract::Path<String>,
    State(shared): State<Arc<Shared>>,
) -> Result<Response> {
    find(&shared, &caller, &id).await?;
    let webhook = shared.plane.rotate_webhook_secret(&caller.actor, &id).await?;
    Ok(secret(webhook).into_response())
}

/// Send a test to a webhook's receiver
///
/// It is sent at once; the webhook's deliveries say what became of it.
#[utoipa::path(post, operation_id = "testWebhook", path = "/webhooks/{webhook}/test", tag = "webhooks",
    params(("webhook" = String, Path)), security(("token" = ["publisher"])),
    responses((status = 202, body = Delivery),
        (status = 409, body = Problem, content_type = Problem::CONTENT_TYPE, description = "It is disabled"),
        (status = "4XX", body = Problem, content_type = Problem::CONTENT_TYPE)))]
pub(super) async fn test(
    LimitedPublisher(caller): LimitedPublisher,
    extract::Path(id): extract::Path<String>,
    State(shared): State<Arc<Shared>>,
) -> Result<(StatusCode, Json<Delivery>)> {
    find(&shared, &caller, &id).await?;
    let delivery = shared.plane.test_webhook(&caller.actor, &id).await?;
    Ok((StatusCode::ACCEPTED, Json(delivery.into())))
}

impl Change {
    fn of(&self, old: Spec) -> Spec {
        let new = |new: &Option<String>, old| new.clone().unwrap_or(old);
        Spec {
            url: new(&self.url, old.url),
            label: new(&self.label, old.label),
            events: self.events.clone().unwrap_or(old.events),
            channels: self.channels.clone().unwrap_or(old.channels),
            enabled: self.enabled.unwrap_or(old.enabled),
        }
    }
}

/// The webhook, if the caller may see it.
pub(super) async fn find(shared: &Shared, caller: &Caller, id: &str) -> Result<StoredWebhook> {
    let webhook = shared.plane.webhook(id).await?;
    caller.noted(shared, allowed(caller, &webhook.spec)).await?;
    Ok(webhook)
}

/// Whether the caller may look at all that a webhook like this is told of, and so at the webhook.
fn allowed(caller: &Caller, spec: &Spec) -> Result<()> {
    if spec.channels.is_empty() {
        caller.check(Scope::Publisher, None)?;
    }
    for channel in &spec.channels {
        caller.check(Scope::Publisher, Some(channel.as_str()))?;
    }
    if spec.has_nodes() {
        return caller.check(Scope::Operator, None).map_err(|_| Error::NodeEvents);
    }
    Ok(())
}

/// A webhook that can be, with each name once.
fn checked(shared: &Shared, mut spec: Spec) -> Result<Spec> {
    let invalid = |field| move |problem| Error::Invalid { field, problem };
    shared.webhooks.check(&spec.url).map_err(invalid("url"))?;
    extract::check_text(&spec.label, MAX_LABEL).map_err(invalid("label"))?;
    spec.events.sort_unstable();
    spec.events.dedup();
    spec.channels.sort_unstable();
    spec.channels.dedup();
    if spec.channels.len() > MAX_CHANNELS {
        return Err(invalid("channels")("at most 100; leave them out for all".to_owned()));
    }
    if let Some(kind) = spec.events.iter().find(|kind| kind.is_of_nodes() && !spec.channels.is_empty()) {
        return Err(invalid("events")(format!("{kind} happens to no channel: leave it or `channels` out")));
    }
    Ok(spec)
}

type Tagged = ([(HeaderName, String); 1], Json<View>);

/// With its tag, for `If-Match` of a later change.
fn tagged(webhook: StoredWebhook) -> Tagged {
    ([(ETAG, webhook.etag())], Json(webhook.into()))
}

/// A secret: no cache, not even the browser's own.
fn secret(webhook: StoredWebhook) -> ([(HeaderName, String); 2], Json<WithSecret>) {
    ([(ETAG, webhook.etag()), (CACHE_CONTROL, "no-store".to_owned())], Json(webhook.into()))
}

fn yes() -> bool {
    true
}

const MAX_LABEL: usize = 100;
const MAX_CHANNELS: usize = 100;
