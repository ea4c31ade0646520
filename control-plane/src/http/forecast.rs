//! What a region will need in the next hours and days, how sure that is, and where it will be short.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use nearcast_api::{Problem, Region};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::auth::Reader;
use super::{Shared, extract};
use crate::audience::HOUR;
use crate::audience::series::Point;
use crate::error::{Error, Result};
use crate::forecast::{self, Forecast, LEAST, MAX_HOURS, Score, capacity};

/// The next hours of a region.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Forecast)]
pub(super) struct View {
    region: Region,
    /// The first is the one under way. None where the history is too short: `note` says so.
    hours: Vec<Hour>,
    /// How the viewers were forecast.
    viewers: Made,
    /// How the bits per second were forecast.
    egress_bps: Made,
    /// The hours in which the region's edges may not be enough; none where the topology does not say what each of them can
    /// do.
    short_at: Vec<Short>,
    /// What is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    note: Option<String>,
}

/// An hour that will be: its peaks.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ForecastHour)]
pub(super) struct Hour {
    /// When it begins, in milliseconds since the Unix epoch.
    at: u64,
    /// The most viewers at a time.
    viewers: Estimate,
    /// The most bits per second to viewers.
    egress_bps: Estimate,
}

/// What is expected, and between what four of five such forecasts came.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ForecastEstimate)]
pub(super) struct Estimate {
    expected: f64,
    /// One in ten came below.
    low: f64,
    /// One in ten came above.
    high: f64,
}

/// How a forecast was made, and how far off it was when it was tried on the past.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ForecastMethod)]
pub(super) struct Made {
    /// `same-as-day-before` and `same-as-week-before` where nothing was better; else `holt-winters-day` or
    /// `holt-winters-day-week`, with `-log` where it is one of logarithms. Left out where the history is too short.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    method: Option<&'static str>,
    /// What it had to beat: the better of the day and the week before.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    baseline: Option<&'static str>,
    /// Hours since the first that is known.
    history_hours: usize,
    /// Those of them that are known.
    known_hours: usize,
    /// Made at many places of the history's last third, of at most four weeks, and compared with what came.
    backtest: Vec<Backtest>,
}

/// How far off it was at a distance.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ForecastBacktest)]
pub(super) struct Backtest {
    /// Hours ahead: up to so many, and more than the one before.
    hours_ahead: usize,
    /// Forecasts that were compared.
    compared: usize,
    /// Mean absolute error.
    mae: f64,
    /// The sum of absolute errors by the sum of what came; left out where nothing came.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    wape: Option<f64>,
    /// The baseline's.
    baseline_mae: f64,
    /// The baseline's.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    baseline_wape: Option<f64>,
}

/// An hour in which a region may be short.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ForecastShort)]
pub(super) struct Short {
    /// When it begins, in milliseconds since the Unix epoch.
    at: u64,
    /// Viewers too many, if it comes as high as one in ten times.
    viewers: f64,
    /// Bits per second too many, if it comes as high as one in ten times.
    egress_bps: f64,
    /// Already what is expected is too much.
    expected: bool,
}

/// Which region, and how far.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Wanted {
    region: Region,
    /// How many hours, 1 to 336.
    #[param(default = 48)]
    hours: Option<usize>,
}

/// What a region will need, how sure that is, and where it will be short
///
/// It stands on the region's hours (`[audience] hours`), and says how far off such forecasts of them would have been. With less
/// than two days it forecasts nothing, and says so.
#[utoipa::path(get, operation_id = "forecast", path = "/forecast", tag = "audience", params(Wanted), security(("token" = ["read-only"])),
    responses((status = 200, body = View), (status = "4XX", body = Problem, content_type = Problem::CONTENT_TYPE)))]
pub(super) async fn show(
    _: Reader,
    extract::Query(Wanted { region, hours }): extract::Query<Wanted>,
    State(shared): State<Arc<Shared>>,
) -> Result<Json<View>> {
    let hours = hours.unwrap_or(DEFAULT);
    if !(1..=MAX_HOURS).contains(&hours) {
        return Err(Error::Invalid { field: "hours", problem: format!("use 1 to {MAX_HOURS}") });
    }
    let (past, next) = shared.plane.hours(&region).await?;
    let series = move |value: fn(&Point) -> u64| {
        let mut series = vec![None; past.first().map_or(0, |first| ((next - first.at) / HOUR) as usize)];
        for point in &past {
            // Of an hour that was heard for a moment nobody knows the peak.
            if point.amounts.heard_ms >= HOUR / 2 {
                let back = ((next - point.at) / HOUR) as usize;
                let at = series.len() - back;
                series[at] = Some(value(point) as f64);
            }
        }
        forecast::forecast(&series, hours)
    };
    // Some ten milliseconds of work: not on a thread that answers others.
    let made = tokio::task::spawn_blocking(move || {
        (series(|point| point.amounts.peak), series(|point| point.amounts.peak_bps))
    });
    // It does not panic, and nobody aborts it.
    let (viewers, egress_bps) =
        made.await.unwrap_or_else(|_| (forecast::forecast(&[], 0), forecast::forecast(&[], 0)));
    let short = capacity::short_at(&viewers, &egress_bps, shared.plane.capacity(&region));
    let at = |hour: usize| next + hour as u64 * HOUR;
    let note = viewers.method.is_none().then(|| {
        format!(
            "region {region} has {} hours that are known, and {LEAST} are needed: nothing can be forecast yet",
            viewers.known
        )
    });
    let pairs = viewers.hours.iter().zip(&egress_bps.hours).enumerate();
    let hours = pairs
        .map(|(hour, (viewers, egress_bps))| Hour {
            at: at(hour),
            viewers: (*viewers).into(),
            egress_bps: (*egress_bps).into(),
        })
        .collect();
    let short_at = short
        .into_iter()
        .map(|short| Short {
            at: at(short.hour),
            viewers: short.viewers,
            egress_bps: short.egress_bps,
            expected: short.expected,
        })
        .collect();
    Ok(Json(View { region, hours, viewers: viewers.into(), egress_bps: egress_bps.into(), short_at, note }))
}

impl From<forecast::Estimate> for Estimate {
    fn from(forecast::Estimate { expected, low, high }: forecast::Estimate) -> Self {
        Self { expected, low, high }
    }
}

impl From<Forecast> for Made {
    fn from(made: Forecast) -> Self {
        Self {
            method: made.method.map(forecast::Method::name),
            baseline: made.baseline.map(forecast::Method::name),
            history_hours: made.history,
            known_hours: made.known,
            backtest: made.scores.into_iter().map(Backtest::from).collect(),
        }
    }
}

impl From<Score> for Backtest {
    fn from(Score { ahead, compared, mae, wape, baseline_mae, baseline_wape }: Score) -> Self {
        Self { hours_ahead: ahead, compared, mae, wape, baseline_mae, baseline_wape }
    }
}

const DEFAULT: usize = 48;
