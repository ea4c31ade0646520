//! What a control plane does without sockets or a database: take in a heartbeat's audience, and forecast a region.

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot begin has nothing to say")]

use std::f64::consts::TAU;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use nearcast_api::NodeId;
use nearcast_api::audience::Audience;
use nearcast_api::node::{Heartbeat, Load};
use nearcast_control::audience::Meter;
use nearcast_control::forecast::{MAX_HOURS, forecast};

/// A second of 500 edges that tell of 50 channels each.
fn heartbeats(criterion: &mut Criterion) {
    const NODES: u64 = 500;
    let region = "eu".parse().unwrap();
    let channel = |number: u32| Audience {
        channel: format!("channel-{number}").parse().unwrap(),
        hls: 20,
        dash: 0,
        other: 0,
        viewer_seconds: 0,
        bytes: 0,
        qoe: Default::default(),
        countries: Default::default(),
    };
    let load = Load { viewers: 1000, egress_bps: 4_000_000_000, ..Load::default() };
    let beat = Heartbeat { load, audience: (0..50).map(channel).collect(), ..Heartbeat::default() };
    let mut nodes: Vec<(NodeId, Heartbeat)> =
        (0..NODES).map(|node| (format!("eu-{node}").parse().unwrap(), beat.clone())).collect();
    let (mut meter, mut now) = (Meter::default(), 1_700_000_000_000);
    let mut group = criterion.benchmark_group("audience");
    group.throughput(Throughput::Elements(NODES));
    group.bench_function("heartbeats", |bencher| {
        bencher.iter(|| {
            now += 1000;
            for (id, beat) in &mut nodes {
                for told in &mut beat.audience {
                    told.viewer_seconds += 20;
                    told.bytes += 1_000_000;
                }
                meter.heard(now, id, &region, beat);
            }
            // As once a minute in a control plane, which else would keep all of them.
            if now % 60_000 < 1000 {
                meter.take(now, 200);
            }
        });
    });
    group.finish();
}

/// All that a region's history is tried with, for the longest forecast.
fn forecasts(criterion: &mut Criterion) {
    let viewers = |hour: usize| {
        let day = 1.0 - 0.8 * (TAU * (hour % 24) as f64 / 24.0).cos();
        // Something that no season explains, and always the same.
        let noise = (hour as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56;
        Some(1000.0 * day * if hour / 24 % 7 >= 5 { 1.5 } else { 1.0 } + noise as f64)
    };
    let mut group = criterion.benchmark_group("forecast");
    for (name, days) in [("90 days", 90), ("a year", 365)] {
        let history: Vec<_> = (0..days * 24).map(viewers).collect();
        group.bench_function(name, |bencher| bencher.iter(|| forecast(&history, MAX_HOURS)));
    }
    group.finish();
}

criterion_group!(control, heartbeats, forecasts);
criterion_main!(control);
