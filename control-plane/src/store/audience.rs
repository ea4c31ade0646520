//! Buckets of the audience in the store: minutes are added, longer ones are made of shorter ones, old ones go.

use nearcast_api::audience::{Qoe, Sum};
use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};

use super::{Store, damaged, failed};
use crate::audience::series::Span;
use crate::audience::{Amounts, Bucket, By, HOUR, Kind, MINUTE, OTHERS, WIDTHS, meter};
use crate::error::Result;

/// A channel or a country, and what was watched of it or in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watched {
    pub name: String,
    pub viewer_ms: u64,
    /// The most viewers at a time: the sum of its regions' peaks in one bucket.
    pub peak: u64,
    pub bytes: u64,
}

impl Store {
    /// Adds what this instance has of minutes, to what others have of them. All of it, or nothing.
    pub async fn add_minutes(&self, buckets: &[Bucket]) -> Result<()> {
        let failed = || failed("keep the audience");
        let mut transaction = self.pool.begin().await.map_err(failed())?;
        let mut rest = buckets;
        // A statement for each size is kept prepared.
        for size in [64, 8, 1] {
            while let Some((rows, more)) = rest.split_at_checked(size) {
                let statement = add(size);
                let mut query = sqlx::query(AssertSqlSafe(statement));
                for Bucket { at, key, amounts } in rows {
                    query = query.bind(number(MINUTE)).bind(key.kind.word());
                    query = query.bind(key.name.to_string()).bind(key.region.to_string()).bind(number(*at));
                    for value in values(amounts) {
                        query = query.bind(number(value));
                    }
                }
                query.execute(&mut *transaction).await.map_err(failed())?;
                rest = more;
            }
        }
        transaction.commit().await.map_err(failed())
    }

    /// Makes longer buckets of shorter ones, and deletes those that are older than `kept` (in milliseconds, for each of
    /// [`WIDTHS`]); `now` in milliseconds since the Unix epoch. Of several instances one does it at a time, and doing it again
    /// changes nothing. Gives how many rows were made; none where it has been done in this minute.
    pub async fn roll_up(&self, now: u64, kept: [u64; 4], most: u32) -> Result<Option<u64>> {
        let failed = || failed("roll the audience up");
        let query = sqlx::query_scalar::<_, i64>("SELECT value FROM counters WHERE name = 'audience'");
        let before = query.fetch_one(&self.pool).await.map_err(failed())?;
        if before.cast_unsigned() / MINUTE == now / MINUTE {
            return Ok(None);
        }
        let mut transaction = self.pool.begin().await.map_err(failed())?;
        let claim = sqlx::query("UPDATE counters SET value = $1 WHERE name = 'audience' AND value = $2");
        let claim = claim.bind(number(now)).bind(before).execute(&mut *transaction).await.map_err(failed())?;
        if claim.rows_affected() == 0 {
            return Ok(None);
        }
        let before = before.cast_unsigned().min(now);
        let mut made = 0;
        for pair in WIDTHS.windows(2) {
            let (shorter, width) = (pair[0], pair[1]);
            // From the bucket on that had a part which has come since, however late.
            let from = before.saturating_sub(meter::MAX_GAP + LATE + shorter);
            let from = number(from - from % width);
            let old = sqlx::query("DELETE FROM audience WHERE width = $1 AND at >= $2")
                .bind(number(width))
                .bind(from);
            old.execute(&mut *transaction).await.map_err(failed())?;
            let statement = AssertSqlSafe(longer(shorter, width));
            let done = sqlx::query(statement).bind(from).bind(i64::from(most)).execute(&mut *transaction);
            made += done.await.map_err(failed())?.rows_affected();
        }
        if before / HOUR != now / HOUR {
            for (width, kept) in WIDTHS.into_iter().zip(kept) {
                let old =
                    sqlx::query("DELETE FROM audience WHERE width = $1 AND at < $2").bind(number(width));
                let old = old.bind(number(now.saturating_sub(kept))).execute(&mut *transaction);
                old.await.map_err(failed())?;
            }
        }
        transaction.commit().await.map_err(failed())?;
        Ok(Some(made))
    }

    /// What the buckets of some names of a kind say together, or of all names, in a region, or with the empty string in all:
    /// for each beginning, oldest first.
    pub async fn audience(
        &self,
        span: Span,
        kind: Kind,
        names: &[&str],
        region: &str,
    ) -> Result<Vec<(u64, Amounts)>> {
        let wanted: Vec<String> = (6..6 + names.len()).map(|number| format!("${number}")).collect();
        let named =
            if names.is_empty() { String::new() } else { format!("AND name IN ({})", wanted.join(", ")) };
        let statement = format!(
            "SELECT at, {} FROM audience WHERE width = $1 AND kind = $2 AND at >= $3 AND at < $4 \
             AND ($5 = '' OR region = $5) {named} GROUP BY at ORDER BY at",
            beside()
        );
        let query = sqlx::query(AssertSqlSafe(statement)).bind(number(span.width)).bind(kind.word());
        let query = query.bind(number(span.from)).bind(number(span.to)).bind(region.to_owned());
        let query = names.iter().fold(query, |query, name| query.bind((*name).to_owned()));
        let rows = query.fetch_all(&self.pool).await.map_err(failed("read the audience"))?;
        rows.iter().map(amounts).collect()
    }

    /// The channels of which most was watched, or the countries in which it was, the first first.
    pub async fn most_watched(
        &self,
        span: Span,
        kind: Kind,
        by: By,
        region: &str,
        limit: u32,
    ) -> Result<Vec<Watched>> {
        let order = match by {
            By::Viewers => "3",
            By::Egress => "4",
            By::WatchTime => "2",
        };
        let statement = format!(
            "SELECT name, CAST(sum(viewer_ms) AS BIGINT), max(peak), CAST(sum(bytes) AS BIGINT) FROM ( \
             SELECT name, at, sum(viewer_ms) AS viewer_ms, CAST(sum(peak) AS BIGINT) AS peak, sum(bytes) AS bytes \
             FROM audience WHERE width = $1 AND kind = $6 AND name <> '{OTHERS}' AND at >= $2 AND at < $3 \
             AND ($4 = '' OR region = $4) GROUP BY name, at) AS together GROUP BY name ORDER BY {order} DESC, 1 LIMIT $5"
        );
        let query =
            sqlx::query_as::<_, (String, i64, i64, i64)>(AssertSqlSafe(statement)).bind(number(span.width));
        let query = query
            .bind(number(span.from))
            .bind(number(span.to))
            .bind(region.to_owned())
            .bind(i64::from(limit))
            .bind(kind.word());
        let rows = query.fetch_all(&self.pool).await.map_err(failed("read the audience"))?;
        let watched = |(name, viewer_ms, peak, bytes): (String, i64, i64, i64)| Watched {
            name,
            viewer_ms: viewer_ms.cast_unsigned(),
            peak: peak.cast_unsigned(),
            bytes: bytes.cast_unsigned(),
        };
        Ok(rows.into_iter().map(watched).collect())
    }
}

/// Adds rows of minutes to those that are there. What was watched is a sum. The peak is the highest that one of the
/// instances had, and at least the mean of all of them together: in a minute it is hardly more.
fn add(rows: usize) -> String {
    let columns = KEY.len() + VALUES.len();
    let row = |row: usize| {
        let places: Vec<String> =
            (1..=columns).map(|column| format!("${}", row * columns + column)).collect();
        format!("({})", places.join(", "))
    };
    let rows: Vec<String> = (0..rows).map(row).collect();
    let sum = |column: &str| format!("audience.{column} + excluded.{column}");
    let most = |column: &str, mean: String| {
        let (a, b) = (format!("audience.{column}"), format!("excluded.{column}"));
        format!("CASE WHEN {a} >= {b} AND {a} >= {mean} THEN {a} WHEN {b} >= {mean} THEN {b} ELSE {mean} END")
    };
    let sets = VALUES.iter().map(|column| {
        let value = match *column {
            "heard_ms" => format!("CASE WHEN {0} < {MINUTE} THEN {0} ELSE {MINUTE} END", sum("heard_ms")),
            "peak" => most("peak", format!("({}) / {MINUTE}", sum("viewer_ms"))),
            "peak_bps" => most("peak_bps", format!("({}) * 8 / 60", sum("bytes"))),
            column => sum(column),
        };
        format!("{column} = {value}")
    });
    format!(
        "INSERT INTO audience ({}, {}) VALUES {} ON CONFLICT (width, kind, name, region, at) DO UPDATE SET {}",
        KEY.join(", "),
        VALUES.join(", "),
        rows.join(", "),
        sets.collect::<Vec<_>>().join(", ")
    )
}

/// Makes buckets of `width` of shorter ones that begin at `$1` or later: of each region's channels the `$2`
/// most watched, and one of the others.
fn longer(shorter: u64, width: u64) -> String {
    // One after the other first, then channels beside each other.
    let (names, after, beside) = (VALUES.join(", "), after(), beside());
    format!(
        "INSERT INTO audience (width, kind, name, region, at, {names}) \
         SELECT {width}, kind, name, region, at, {beside} FROM ( \
         SELECT kind, CASE WHEN kind = 'channel' AND place > $2 THEN '{OTHERS}' ELSE name END AS name, region, at, {names} \
         FROM (SELECT *, row_number() OVER (PARTITION BY kind, region, at \
         ORDER BY CASE WHEN name = '{OTHERS}' THEN 1 ELSE 0 END, viewer_ms DESC, name) AS place FROM ( \
         SELECT kind, name, region, at - at % {width} AS at, {after} FROM audience \
         WHERE width = {shorter} AND at >= $1 GROUP BY kind, name, region, at - at % {width}) AS summed) AS placed \
         ) AS named GROUP BY kind, name, region, at"
    )
}

/// See [`Amounts::after`].
fn after() -> String {
    together("max", "sum")
}

/// See [`Amounts::beside`].
fn beside() -> String {
    together("sum", "max")
}

fn together(peak: &str, heard: &str) -> String {
    let each = |column: &&str| {
        let how = match *column {
            "peak" | "peak_bps" => peak,
            "heard_ms" => heard,
            _ => "sum",
        };
        format!("CAST({how}({column}) AS BIGINT) AS {column}")
    };
    VALUES.iter().map(each).collect::<Vec<_>>().join(", ")
}

const KEY: [&str; 5] = ["width", "kind", "name", "region", "at"];
const VALUES: [&str; 20] = [
    "heard_ms",
    "viewer_ms",
    "peak",
    "bytes",
    "peak_bps",
    "reports",
    "starved",
    "failed",
    "buffer_count",
    "buffer_total",
    "throughput_count",
    "throughput_total",
    "bitrate_count",
    "bitrate_total",
    "latency_count",
    "latency_total",
    "startup_count",
    "startup_total",
    "empty_count",
    "empty_total",
];

/// In the order of [`VALUES`].
fn values(amounts: &Amounts) -> [u64; 20] {
    let Amounts { heard_ms, viewer_ms, peak, bytes, peak_bps, qoe } = *amounts;
    let Sum { count: buffers, total: buffer } = qoe.buffer_ms;
    let Sum { count: throughputs, total: throughput } = qoe.throughput_kbps;
    let Sum { count: bitrates, total: bitrate } = qoe.bitrate_kbps;
    let Sum { count: latencies, total: latency } = qoe.latency_ms;
    let Sum { count: startups, total: startup } = qoe.startup_ms;
    let Sum { count: empties, total: empty } = qoe.starved_ms;
    let (peak, peak_bps) = (peak.max(viewer_ms / MINUTE), peak_bps.max(bytes.saturating_mul(8) / 60));
    [
        heard_ms,
        viewer_ms,
        peak,
        bytes,
        peak_bps,
        qoe.reports,
        qoe.starved,
        qoe.failed,
        buffers,
        buffer,
        throughputs,
        throughput,
        bitrates,
        bitrate,
        latencies,
        latency,
        startups,
        startup,
        empties,
        empty,
    ]
}

fn amounts(row: &AnyRow) -> Result<(u64, Amounts)> {
    let failed = || failed("read the audience");
    let number = |index: usize| match row.try_get::<i64, _>(index) {
        Ok(value) => u64::try_from(value).map_err(|_| damaged("an amount", &value.to_string())),
        Err(error) => Err(failed()(error)),
    };
    let value = |column: usize| number(1 + column);
    let sum = |column: usize| {
        Ok::<_, crate::error::Error>(Sum { count: value(column)?, total: value(column + 1)? })
    };
    let qoe = Qoe {
        reports: value(5)?,
        starved: value(6)?,
        failed: value(7)?,
        buffer_ms: sum(8)?,
        throughput_kbps: sum(10)?,
        bitrate_kbps: sum(12)?,
        latency_ms: sum(14)?,
        startup_ms: sum(16)?,
        starved_ms: sum(18)?,
    };
    let amounts = Amounts {
        heard_ms: value(0)?,
        viewer_ms: value(1)?,
        peak: value(2)?,
        bytes: value(3)?,
        peak_bps: value(4)?,
        qoe,
    };
    Ok((number(0)?, amounts))
}

/// Nobody has that much in a minute, and five years of it can still be summed up.
fn number(value: u64) -> i64 {
    value.min(MOST).cast_signed()
}

const MOST: u64 = 1 << 48;
/// From the end of a minute until all instances have added theirs.
const LATE: u64 = 5 * MINUTE;
