//! Of which channels most was watched, and in which countries.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use nearcast_api::{Problem, Region};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::auth::{Limited, Reader};
use super::super::{Shared, extract};
use super::invalid;
use crate::access::Scope;
use crate::audience::series::Span;
use crate::audience::{By, Kind};
use crate::error::{Error, Result};
use crate::plane::unix_millis;
use crate::store::Watched;

/// The channels that were watched most, the first first.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AudienceTop)]
pub(in crate::http) struct Top {
    /// Where the time that was looked at begins, in milliseconds since the Unix epoch.
    from: u64,
    /// Where it ends.
    to: u64,
    channels: Vec<Line>,
}

/// The countries in which most was watched, the first first.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AudienceCountries)]
pub(in crate::http) struct Countries {
    /// Where the time that was looked at begins, in milliseconds since the Unix epoch.
    from: u64,
    /// Where it ends.
    to: u64,
    countries: Vec<CountryLine>,
}

/// A channel in that time.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AudienceTopChannel)]
pub(in crate::http) struct Line {
    channel: String,
    #[serde(flatten)]
    watched: Together,
}

/// A country in that time.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AudienceCountry)]
pub(in crate::http) struct CountryLine {
    /// ISO 3166-1 alpha-2, or `ZZ`.
    country: String,
    #[serde(flatten)]
    watched: Together,
}

/// What was watched in that time.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AudienceTogether)]
pub(in crate::http) struct Together {
    /// The most at a time: the sum of its regions' peaks.
    viewers_peak: u64,
    /// Seconds watched, by all together.
    viewer_seconds: u64,
    /// Bytes sent to viewers.
    egress_bytes: u64,
}

/// What they are compared by, and when.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct Compared {
    #[serde(default)]
    #[param(inline)]
    by: By,
    /// Only in this region.
    region: Option<Region>,
    /// Milliseconds since the Unix epoch; a day before `to` when left out.
    from: Option<u64>,
    /// Milliseconds since the Unix epoch; now when left out.
    to: Option<u64>,
    /// At most so many, 1 to 500.
    #[param(default = 20)]
    limit: Option<u32>,
}

/// The channels that were watched most
///
/// Of those that were among the most watched of their regions. A token that is limited to channels sees those.
#[utoipa::path(get, operation_id = "audienceTop", path = "/audience/top", tag = "audience", params(Compared), security(("token" = ["read-only"])),
    responses((status = 200, body = Top), (status = "4XX", body = Problem, content_type = Problem::CONTENT_TYPE)))]
pub(in crate::http) async fn channels(
    Limited(caller): Limited,
    extract::Query(compared): extract::Query<Compared>,
    State(shared): State<Arc<Shared>>,
) -> Result<Json<Top>> {
    let (span, limit) = (compared.span(&shared)?, compared.limit()?);
    // Who sees some of them needs as many as it takes to find those.
    let sees_all = caller.check(Scope::ReadOnly, None).is_ok();
    let read = if sees_all { limit } else { ALL };
    let watched = compared.read(&shared, span, Kind::Channel, read).await?;
    let sees = |one: &Watched| sees_all || caller.check(Scope::ReadOnly, Some(&one.name)).is_ok();
    let line = |one: Watched| Line { watched: Together::from(&one), channel: one.name };
    let channels = watched.into_iter().filter(sees).take(limit as usize).map(line).collect();
    Ok(Json(Top { from: span.from, to: span.to, channels }))
}

/// The countries in which most was watched
///
/// Of viewers whose edge can know in which country they are (`access.countries` there); `ZZ` for those of whom it does not.
#[utoipa::path(get, operation_id = "audienceCountries", path = "/audience/countries", tag = "audience", params(Compared), security(("token" = ["read-only"])),
    responses((status = 200, body = Countries), (status = "4XX", body = Problem, content_type = Problem::CONTENT_TYPE)))]
pub(in crate::http) async fn countries(
    _: Reader,
    extract::Query(compared): extract::Query<Compared>,
    State(shared): State<Arc<Shared>>,
) -> Result<Json<Countries>> {
    let (span, limit) = (compared.span(&shared)?, compared.limit()?);
    let watched = compared.read(&shared, span, Kind::Country, limit).await?;
    let line = |one: Watched| CountryLine { watched: Together::from(&one), country: one.name };
    Ok(Json(Countries { from: span.from, to: span.to, countries: watched.into_iter().map(line).collect() }))
}

impl Compared {
    fn span(&self, shared: &Shared) -> Result<Span> {
        Span::whole(shared.plane.audience_config(), unix_millis(), (self.from, self.to)).map_err(invalid)
    }

    fn limit(&self) -> Result<u32> {
        let limit = self.limit.unwrap_or(DEFAULT);
        if !(1..=MOST).contains(&limit) {
            return Err(Error::Invalid { field: "limit", problem: format!("use 1 to {MOST}") });
        }
        Ok(limit)
    }

    async fn read(&self, shared: &Shared, span: Span, kind: Kind, limit: u32) -> Result<Vec<Watched>> {
        shared.plane.most_watched(span, kind, self.by, self.region.as_ref(), limit).await
    }
}

impl From<&Watched> for Together {
    fn from(Watched { viewer_ms, peak, bytes, .. }: &Watched) -> Self {
        Self { viewers_peak: *peak, viewer_seconds: viewer_ms / 1000, egress_bytes: *bytes }
    }
}

const DEFAULT: u32 = 20;
const MOST: u32 = 500;
/// More than the most watched of all regions and buckets that are read.
const ALL: u32 = 100_000;
