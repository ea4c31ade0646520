//! Where a region will be short.

use super::{Estimate, Forecast};

/// What the nodes of a region can do together. What nobody has said is unlimited here, as nothing can be said of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Capacity {
    pub viewers: Option<u64>,
    /// Bits per second.
    pub egress_bps: Option<u64>,
}

impl From<nearcast_api::topology::Capacity> for Capacity {
    fn from(node: nearcast_api::topology::Capacity) -> Self {
        Self { viewers: node.viewers.map(u64::from), egress_bps: node.egress_bps }
    }
}

/// An hour that may have more than the region can do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Short {
    /// 0 is the first hour of the forecast.
    pub hour: usize,
    /// Viewers too many, if it comes as high as one in ten times.
    pub viewers: f64,
    /// Bits per second too many, if it comes as high as one in ten times.
    pub egress_bps: f64,
    /// Already what is expected is too much.
    pub expected: bool,
}

/// The hours in which a region may be short; none known without its capacity.
pub fn short_at(viewers: &Forecast, egress_bps: &Forecast, capacity: Option<Capacity>) -> Vec<Short> {
    let Some(capacity) = capacity else { return Vec::new() };
    let too_much = |forecast: &Forecast, hour: usize, most: Option<u64>| {
        let over =
            |estimate: &Estimate, most: u64| (estimate.high - most as f64, estimate.expected > most as f64);
        let found = forecast.hours.get(hour).zip(most).map(|(estimate, most)| over(estimate, most));
        found.map_or((0.0, false), |(missing, expected)| (missing.max(0.0), expected))
    };
    let short = |hour: usize| {
        let (viewers, many) = too_much(viewers, hour, capacity.viewers);
        let (egress_bps, much) = too_much(egress_bps, hour, capacity.egress_bps);
        (viewers > 0.0 || egress_bps > 0.0).then_some(Short {
            hour,
            viewers,
            egress_bps,
            expected: many || much,
        })
    };
    (0..viewers.hours.len().max(egress_bps.hours.len())).filter_map(short).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forecast(high: [f64; 3]) -> Forecast {
        let hours = high.map(|high| Estimate { expected: high / 2.0, low: 0.0, high });
        Forecast { hours: hours.into(), ..super::super::forecast(&[], 0) }
    }

    #[test]
    fn an_hour_is_short_when_it_may_have_more_than_there_is() {
        let (viewers, egress) = (forecast([100.0, 300.0, 500.0]), forecast([9e9, 1e9, 1e9]));
        let capacity = |viewers, egress_bps| Some(Capacity { viewers, egress_bps });
        let short = short_at(&viewers, &egress, capacity(Some(200), Some(8_000_000_000)));
        let seen: Vec<_> =
            short.iter().map(|short| (short.hour, short.viewers, short.egress_bps, short.expected)).collect();
        assert_eq!(seen, [(0, 0.0, 1e9, false), (1, 100.0, 0.0, false), (2, 300.0, 0.0, true)]);
        assert_eq!(short_at(&viewers, &egress, capacity(None, None)), []);
        assert_eq!(short_at(&viewers, &egress, None), [], "nobody has said what there is");
    }
}
