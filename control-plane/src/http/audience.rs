//! Who watched over time, how much and how well: of channels, countries, regions and nodes.

pub(super) mod top;

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use http::header::{ACCEPT, CONTENT_TYPE, VARY};
use nearcast_api::playback::Country;
use nearcast_api::{ChannelId, NodeId, Problem, Region};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::auth::Limited;
use super::{Shared, extract};
use crate::access::Scope;
use crate::audience::series::{Point, Span};
use crate::error::{Error, Result};
use crate::plane::{Whose, unix_millis};

/// An audience, step by step.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AudienceSeries)]
pub(super) struct Series {
    /// Where the first step begins, in milliseconds since the Unix epoch.
    from: u64,
    /// Where the last one ends.
    to: u64,
    /// How long each is, in milliseconds.
    step: u64,
    /// At most 1,500. A step of which nothing is known is left out: no node was heard, the channel was not among the most
    /// watched of its regions, or no edge knew in which country any viewer was. One without viewers is there.
    buckets: Vec<View>,
}

/// What was in one step. The mean is over the time in which somebody was heard.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AudienceBucket)]
pub(super) struct View {
    /// When it begins, in milliseconds since the Unix epoch.
    at: u64,
    /// At a time, on the mean.
    viewers_mean: f64,
    /// The most at a time; of several regions or channels together the sum of their peaks, which need not have been at one
    /// moment.
    viewers_peak: u64,
    /// Seconds watched, by all together.
    viewer_seconds: u64,
    /// Bytes sent to viewers.
    egress_bytes: u64,
    /// Bits per second, on the mean.
    egress_bps_mean: f64,
    /// The most bits per second: of nodes and regions by their heartbeats, of channels the highest mean of a minute.
    egress_bps_peak: u64,
    qoe: Quality,
}

/// How well it played, as players tell it (CMCD). What nobody told is left out.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AudienceQuality)]
pub(super) struct Quality {
    /// Requests that said something.
    reports: u64,
    /// Share of them that told of a buffer that had run empty, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    rebuffer_ratio: Option<f64>,
    /// How long it was empty, on the mean, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    rebuffer_ms: Option<f64>,
    /// Until the first picture, on the mean, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    startup_ms: Option<f64>,
    /// Behind the live edge, on the mean, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    latency_ms: Option<f64>,
    /// How much was buffered, on the mean, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    buffer_ms: Option<f64>,
    /// Measured by players, on the mean, in kb/s.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    throughput_kbps: Option<f64>,
    /// Of what was asked for, on the mean, in kb/s.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    bitrate_kbps: Option<f64>,
    /// Reports of an error.
    errors: u64,
}

/// Whose audience, and when.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Wanted {
    /// Of this channel; a token that is limited to channels has to name one of them.
    channel: Option<ChannelId>,
    /// Of all channels that are in this category now.
    category: Option<String>,
    /// Of viewers who are in this country (ISO 3166-1 alpha-2; `ZZ` for those of whom edges that could know do not).
    #[param(value_type = Option<String>)]
    country: Option<Country>,
    /// Only in this region.
    region: Option<Region>,
    /// At this node.
    node: Option<NodeId>,
    /// Milliseconds since the Unix epoch; a day before `to` when left out.
    from: Option<u64>,
    /// Milliseconds since the Unix epoch; now when left out.
    to: Option<u64>,
    /// Milliseconds from one point to the next, whole minutes; when left out, the shortest of a minute, ten minutes, an hour
    /// and a day that is still kept and gives at most 1,500 points.
    step: Option<u64>,
}

/// Who watched over time, how much and how well
///
/// Of a channel, a category, a country, a node, a region, or all regions together. With `Accept: text/csv` as a table.
#[utoipa::path(get, operation_id = "audience", path = "/audience", tag = "audience", params(Wanted), security(("token" = ["read-only"])),
    responses((status = 200, content((Series = "application/json"), (String = "text/csv"))),
        (status = "4XX", body = Problem, content_type = Problem::CONTENT_TYPE)))]
pub(super) async fn show(
    Limited(caller): Limited,
    extract::Query(wanted): extract::Query<Wanted>,
    headers: HeaderMap,
    State(shared): State<Arc<Shared>>,
) -> Result<Response> {
    let Wanted { channel, category, country, region, node, from, to, step } = wanted;
    caller.insist(&shared, Scope::ReadOnly, channel.as_ref().map(ChannelId::as_str)).await?;
    let invalid_field = |field, problem: &str| Err(Error::Invalid { field, problem: problem.to_owned() });
    let whose = match (channel, category, country, node) {
        (None, None, None, Some(_)) if region.is_some() => {
            return invalid_field("region", "leave it or `node` out: a node is in one region");
        }
        (None, None, None, Some(node)) => Whose::Node(node),
        (Some(channel), None, None, None) => Whose::Channel(channel, region),
        (None, Some(category), None, None) => Whose::Category(category, region),
        (None, None, Some(country), None) => Whose::Country(country, region),
        (None, None, None, None) => Whose::Regions(region),
        (_, _, _, Some(_)) => {
            let problem = "leave it, or all else, out: channels and countries are counted by region";
            return invalid_field("node", problem);
        }
        (_, _, Some(_), _) => {
            return invalid_field(
                "country",
                "leave it, or `channel` and `category`, out: each is counted by itself",
            );
        }
        (Some(_), Some(_), _, _) => return invalid_field("category", "leave it or `channel` out"),
    };
    let span =
        Span::choose(shared.plane.audience_config(), unix_millis(), (from, to), step).map_err(invalid)?;
    let points = shared.plane.audience(&whose, span).await?;
    let buckets: Vec<View> = points.iter().map(View::from).collect();
    let accepts = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    if accepts.into_iter().any(|value| value.contains("text/csv")) {
        return Ok(
            ([(CONTENT_TYPE, "text/csv; charset=utf-8"), (VARY, "accept")], csv(&buckets)).into_response()
        );
    }
    Ok(([(VARY, "accept")], Json(Series { from: span.from, to: span.to, step: span.step, buckets }))
        .into_response())
}

pub(super) fn invalid((field, problem): (&'static str, String)) -> Error {
    Error::Invalid { field, problem }
}

impl From<&Point> for View {
    fn from(point: &Point) -> Self {
        let amounts = &point.amounts;
        let qoe = amounts.qoe;
        Self {
            at: point.at,
            viewers_mean: point.viewers(),
            viewers_peak: amounts.peak,
            viewer_seconds: amounts.viewer_ms / 1000,
            egress_bytes: amounts.bytes,
            egress_bps_mean: point.bps(),
            egress_bps_peak: amounts.peak_bps,
            qoe: Quality {
                reports: qoe.reports,
                rebuffer_ratio: (qoe.reports > 0).then(|| qoe.starved as f64 / qoe.reports as f64),
                rebuffer_ms: qoe.starved_ms.mean(),
                startup_ms: qoe.startup_ms.mean(),
                latency_ms: qoe.latency_ms.mean(),
                buffer_ms: qoe.buffer_ms.mean(),
                throughput_kbps: qoe.throughput_kbps.mean(),
                bitrate_kbps: qoe.bitrate_kbps.mean(),
                errors: qoe.failed,
            },
        }
    }
}

/// RFC 4180: only numbers, so that nothing needs quotes. What nobody told is empty.
fn csv(buckets: &[View]) -> String {
    let mut text = String::from(
        "at,viewers_mean,viewers_peak,viewer_seconds,egress_bytes,egress_bps_mean,egress_bps_peak,reports,rebuffer_ratio,\
         rebuffer_ms,startup_ms,latency_ms,buffer_ms,throughput_kbps,bitrate_kbps,errors\r\n",
    );
    for View {
        at,
        viewers_mean,
        viewers_peak,
        viewer_seconds,
        egress_bytes,
        egress_bps_mean,
        egress_bps_peak,
        qoe,
    } in buckets
    {
        let told = [
            qoe.rebuffer_ratio,
            qoe.rebuffer_ms,
            qoe.startup_ms,
            qoe.latency_ms,
            qoe.buffer_ms,
            qoe.throughput_kbps,
            qoe.bitrate_kbps,
        ];
        let told = told.map(|value| value.map(|value| value.to_string()).unwrap_or_default()).join(",");
        text += &format!(
            "{at},{viewers_mean},{viewers_peak},{viewer_seconds},{egress_bytes},{egress_bps_mean},{egress_bps_peak},{},{told},{}\r\n",
            qoe.reports, qoe.errors
        );
    }
    text
}
