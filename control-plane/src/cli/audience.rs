//! The commands that look at the audience, past and to come.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::{Args, ValueEnum};
use http::Method;

use super::commands::{Parts, Shape, duration, query};

/// Who watched, how much and how well.
#[derive(Debug, Args)]
pub(super) struct Audience {
    /// Of this channel.
    #[arg(long, conflicts_with = "node")]
    channel: Option<String>,
    /// Of all channels that are in this category now.
    #[arg(long, conflicts_with_all = ["node", "channel"])]
    category: Option<String>,
    /// Of viewers who are in this country, such as DE.
    #[arg(long, conflicts_with_all = ["node", "channel", "category"])]
    country: Option<String>,
    /// In this region.
    #[arg(long, conflicts_with = "node")]
    region: Option<String>,
    /// At this node.
    #[arg(long)]
    node: Option<String>,
    /// How far back, such as 90m, 24h or 30d.
    #[arg(long, default_value = "24h", value_parser = duration)]
    since: Duration,
    /// From one line to the next, such as 10m, 1h or 1d; the shortest that there is when left out.
    #[arg(long, value_parser = duration)]
    step: Option<Duration>,
    /// All of that time together, instead: what was watched most, or where.
    #[arg(long, conflicts_with_all = SERIES)]
    top: Option<Top>,
    /// What they are compared by.
    #[arg(long, requires = "top", conflicts_with_all = SERIES, value_parser = ["viewers", "egress", "watch_time"])]
    by: Option<String>,
    /// At most so many.
    #[arg(long, requires = "top", conflicts_with_all = SERIES)]
    limit: Option<u32>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Top {
    Channels,
    Countries,
}

/// What is about lines over time, and means nothing to sums.
const SERIES: [&str; 5] = ["node", "channel", "category", "country", "step"];

/// How many viewers a region will have.
#[derive(Debug, Args)]
pub(super) struct Forecast {
    region: String,
    /// How many hours ahead, 1 to 336.
    #[arg(long, default_value_t = 48)]
    hours: u32,
}

impl Audience {
    pub(super) fn plan(self) -> Parts {
        const COLUMNS: &[&str] = &[
            "at",
            "viewers_mean",
            "viewers_peak",
            "viewer_seconds",
            "egress_bytes",
            "egress_bps_peak",
            "qoe.rebuffer_ratio",
            "qoe.startup_ms",
            "qoe.latency_ms",
            "qoe.errors",
        ];
        const TOP: &[&str] = &["channel", "viewers_peak", "viewer_seconds", "egress_bytes"];
        const COUNTRIES: &[&str] = &["country", "viewers_peak", "viewer_seconds", "egress_bytes"];
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let millis = |duration: Duration| duration.as_millis().to_string();
        let (path, shape) = match self.top {
            None => ("/audience", Shape::List("buckets", COLUMNS)),
            Some(Top::Channels) => ("/audience/top", Shape::List("channels", TOP)),
            Some(Top::Countries) => ("/audience/countries", Shape::List("countries", COUNTRIES)),
        };
        let path = query(
            path,
            [
                ("channel", self.channel),
                ("category", self.category),
                ("country", self.country),
                ("region", self.region),
                ("node", self.node),
                ("from", Some(millis(now.saturating_sub(self.since)))),
                ("step", self.step.map(millis)),
                ("by", self.by),
                ("limit", self.limit.map(|limit| limit.to_string())),
            ],
        );
        (Method::GET, path, None, shape)
    }
}

impl Forecast {
    pub(super) fn plan(self) -> Parts {
        const COLUMNS: &[&str] = &[
            "at",
            "viewers.expected",
            "viewers.low",
            "viewers.high",
            "egress_bps.expected",
            "egress_bps.low",
            "egress_bps.high",
        ];
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.append_pair("region", &self.region).append_pair("hours", &self.hours.to_string());
        (Method::GET, format!("/forecast?{}", query.finish()), None, Shape::Report("hours", COLUMNS))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::Cli;

    fn path(line: &str) -> String {
        Cli::try_parse_from(line.split(' ')).unwrap().command.plan().unwrap().path
    }

    #[test]
    fn what_is_asked_for_is_in_the_query() {
        let path = path("x audience --channel demo --region eu --since 90m --step 10m");
        let (before, rest) = path.split_once("&from=").unwrap();
        assert_eq!(before, "/audience?channel=demo&region=eu");
        let (from, step) = rest.split_once("&step=").unwrap();
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
        let back = now - from.parse::<u128>().unwrap();
        assert!((5_400_000..5_460_000).contains(&back), "{back}");
        assert_eq!(step, "600000");
        assert_eq!(self::path("x forecast eu --hours 24"), "/forecast?region=eu&hours=24");
        assert!(self::path("x audience --country PE").starts_with("/audience?country=PE&from="));
        let top = self::path("x audience --top countries --by watch_time --limit 5");
        assert!(
            top.starts_with("/audience/countries?from=") && top.ends_with("&by=watch_time&limit=5"),
            "{top}"
        );
        for wrong in [
            "x audience --country PE --channel a",
            "x audience --by egress",
            "x audience --by egress --channel a",
            "x audience --limit 3 --country PE",
            "x audience --channel a --node b",
            "x audience --since soon",
            "x forecast",
        ] {
            assert!(Cli::try_parse_from(wrong.split(' ')).is_err(), "{wrong}");
        }
    }
}
