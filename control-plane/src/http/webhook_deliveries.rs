//! Deliveries of a webhook: listed with how they went, tried again.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use nearcast_api::Problem;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::auth::LimitedPublisher;
use super::page::Page;
use super::webhooks::find;
use super::{Shared, extract};
use crate::error::{Error, Result};
use crate::store::{Delivery, Outcome};

/// Something that a webhook's receiver is told.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WebhookDelivery)]
pub(super) struct View {
    /// The event's id, which the receiver gets as `webhook-id` with every attempt.
    id: String,
    /// The event's.
    r#type: String,
    state: Outcome,
    /// How often it was tried, an attempt under way among them.
    attempts: u32,
    /// When it happened, in milliseconds since the Unix epoch.
    created_at: u64,
    /// When it is tried next, in milliseconds since the Unix epoch; while an attempt is under way, when another may begin.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_attempt_at: Option<u64>,
    /// When it was delivered or given up, in milliseconds since the Unix epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    done_at: Option<u64>,
    /// What the receiver answered last; none when it did not answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    status: Option<u16>,
    /// What went wrong last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    error: Option<String>,
    /// How the body of its last answer begins, at most 1 KiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    answer: Option<String>,
    /// What is sent.
    #[schema(value_type = Object)]
    body: Value,
}

/// A webhook's deliveries, newest first.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WebhookDeliveryList)]
pub(super) struct List {
    deliveries: Vec<View>,
    /// For `cursor` of the next request; left out when there are no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next: Option<String>,
}

/// Which deliveries.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// Only these; left out for all.
    state: Option<Outcome>,
    /// `next` of the page before; left out for the first one.
    cursor: Option<String>,
    /// At most so many, 1 to 500.
    #[param(default = 100)]
    limit: Option<usize>,
}

impl From<Delivery> for View {
    fn from(delivery: Delivery) -> Self {
        let Delivery { event, kind, body, state, attempts, created_at, due_at, .. } = delivery;
        let Delivery { done_at, status, error, answer, .. } = delivery;
        Self {
            id: event,
            r#type: kind,
            state,
            attempts,
            created_at,
            next_attempt_at: (state == Outcome::Waiting).then_some(due_at),
            done_at,
            status,
            error,
            answer: answer.filter(|answer| !answer.is_empty()),
            body: serde_json::from_str(&body).unwrap_or_default(),
        }
    }
}

/// A webhook's deliveries and how they went
#[utoipa::path(get, operation_id = "listDeliveries", path = "/webhooks/{webhook}/deliveries", tag = "webhooks",
    params(("webhook" = String, Path), Which), security(("token" = ["publisher"])),
    responses((status = 200, body = List), (status = "4XX", body = Problem, content_type = Problem::CONTENT_TYPE)))]
pub(super) async fn list(
    LimitedPublisher(caller): LimitedPublisher,
    extract::Path(webhook): extract::Path<String>,
    extract::Query(Which { state, cursor, limit }): extract::Query<Which>,
    State(shared): State<Arc<Shared>>,
) -> Result<Json<List>> {
    find(&shared, &caller, &webhook).await?;
    let page = Page::new(cursor, limit);
    let before = page.cursor().map(parse).transpose()?;
    let limit = page.limit()?;
    let mut deliveries = shared.plane.deliveries(&webhook, state, before, limit + 1).await?;
    let more = deliveries.len() > limit;
    deliveries.truncate(limit);
    let last = deliveries.last().filter(|_| more);
    let next = last.map(|last| format!("{}.{}", last.created_at, last.event));
    Ok(Json(List { deliveries: deliveries.into_iter().map(View::from).collect(), next }))
}

/// Try a delivery again
///
/// At once, whatever has become of it, and then as a new one. The event's id stays.
#[utoipa::path(post, operation_id = "retryDelivery", path = "/webhooks/{webhook}/deliveries/{delivery}/retry", tag = "webhooks",
    params(("webhook" = String, Path), ("delivery" = String, Path)), security(("token" = ["publisher"])),
    responses((status = 202, body = View),
        (status = 409, body = Problem, content_type = Problem::CONTENT_TYPE, description = "The webhook is disabled"),
        (status = "4XX", body = Problem, content_type = Problem::CONTENT_TYPE)))]
pub(super) async fn retry(
    LimitedPublisher(caller): LimitedPublisher,
    extract::Path((webhook, delivery)): extract::Path<(String, String)>,
    State(shared): State<Arc<Shared>>,
) -> Result<(StatusCode, Json<View>)> {
    find(&shared, &caller, &webhook).await?;
    let delivery = shared.plane.retry_delivery(&caller.actor, &webhook, &delivery).await?;
    Ok((StatusCode::ACCEPTED, Json(delivery.into())))
}

/// When and which the last one was.
fn parse(cursor: &str) -> Result<(u64, &str)> {
    let parts = cursor.split_once('.').and_then(|(at, event)| Some((at.parse().ok()?, event)));
    parts.ok_or_else(|| Error::Invalid {
        field: "cursor",
        problem: "use `next` of the page before".to_owned(),
    })
}
