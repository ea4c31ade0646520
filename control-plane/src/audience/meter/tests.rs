use std::collections::BTreeMap;

use nearcast_api::audience::{Audience, InCountry, Qoe, Sum};
use proptest::prelude::*;

use super::*;
use crate::audience::OTHERS;

const START: u64 = 1_700_000_040_000;

/// An edge whose counters go on as real ones do.
#[derive(Clone)]
struct Edge {
    id: NodeId,
    region: Region,
    started_at: u64,
    seconds: u64,
    bytes: u64,
}

impl Edge {
    fn new(id: &str, region: &str) -> Self {
        Self { id: id.parse().unwrap(), region: region.parse().unwrap(), started_at: 1, seconds: 0, bytes: 0 }
    }

    /// `viewers` have watched for another second; each of them got 1000 bytes.
    fn second(&mut self, viewers: u32) -> Heartbeat {
        self.seconds += u64::from(viewers);
        self.bytes += 1000 * u64::from(viewers);
        self.beat(viewers)
    }

    fn tell(&mut self, meter: &mut Meter, now: u64, viewers: u32) {
        let beat = self.second(viewers);
        meter.heard(now, &self.id, &self.region, &beat);
    }

    fn beat(&self, viewers: u32) -> Heartbeat {
        let load = Load { cpu: 0.1, viewers, egress_bps: 8000 * u64::from(viewers), ..Load::default() };
        let qoe = Qoe {
            reports: self.seconds,
            buffer_ms: Sum { count: self.seconds, total: 2000 * self.seconds },
            ..Qoe::default()
        };
        let audience = vec![Audience {
            channel: "demo".parse().unwrap(),
            hls: viewers,
            dash: 0,
            other: 0,
            viewer_seconds: self.seconds,
            bytes: self.bytes,
            qoe,
            countries: BTreeMap::new(),
        }];
        // One in four is where nobody knows.
        let countries = vec![InCountry {
            country: "PE".parse().unwrap(),
            viewers: viewers * 3 / 4,
            viewer_seconds: self.seconds * 3 / 4,
            bytes: self.bytes * 3 / 4,
            qoe,
        }];
        Heartbeat { load, started_at: self.started_at, audience, countries, ..Heartbeat::default() }
    }
}

fn buckets(taken: Vec<Bucket>) -> BTreeMap<(u64, Kind, String), Amounts> {
    let named = |bucket: Bucket| ((bucket.at, bucket.key.kind, bucket.key.name.into()), bucket.amounts);
    taken.into_iter().map(named).collect()
}

fn of(taken: &BTreeMap<(u64, Kind, String), Amounts>, at: u64, kind: Kind, name: &str) -> Amounts {
    taken.get(&(at, kind, name.to_owned())).copied().unwrap_or_default()
}

/// All of a kind, over all minutes.
fn total(taken: &BTreeMap<(u64, Kind, String), Amounts>, kind: Kind) -> Amounts {
    let mut total = Amounts::default();
    taken.iter().filter(|((_, its, _), _)| *its == kind).for_each(|(_, amounts)| total.after(amounts));
    total
}

#[test]
fn seconds_become_minutes_of_the_channel_the_node_and_the_region() {
    let (mut meter, mut a, mut b) = (Meter::default(), Edge::new("eu-1", "eu"), Edge::new("eu-2", "eu"));
    for second in 0..=120 {
        let now = START + second * 1000;
        let (first, second) = (a.second(10), b.second(if second == 30 { 50 } else { 5 }));
        meter.heard(now, &a.id, &a.region, &first);
        meter.heard(now + 500, &b.id, &b.region, &second);
    }
    let taken = buckets(meter.take(START + 120_600, 10));
    let demo = of(&taken, START, Kind::Channel, "demo");
    assert_eq!((demo.peak, demo.heard_ms), (60, 0));
    // What each first says only begins its counting.
    assert!(demo.viewer_ms.abs_diff((10 * 60 + 5 * 59 + 50) * 1000) <= 10_000, "{demo:?}");
    // Numbers stay whole where a second is cut.
    assert!((demo.qoe.buffer_ms.mean().unwrap() - 2000.0).abs() < 5.0);
    let region = of(&taken, START, Kind::Region, "eu");
    assert_eq!((region.peak, region.peak_bps, region.heard_ms), (60, 480_000, 60_000));
    assert_eq!(of(&taken, START, Kind::Node, "eu-2").peak, 50);
    let next = of(&taken, START + MINUTE, Kind::Channel, "demo");
    assert_eq!((next.peak, next.viewer_ms / 60_000), (15, 15));
    let peru = of(&taken, START + MINUTE, Kind::Country, "PE");
    assert_eq!((peru.peak, peru.viewer_ms / 6000, peru.bytes / 6000), (10, 112, 112));
    assert_eq!(of(&taken, START + MINUTE, Kind::Node, "eu-1").viewer_ms, 600_000);
    assert_eq!(meter.take(START + 120_700, 10), [], "it was taken");
}

#[test]
fn an_outage_is_spread_over_its_minutes_and_one_that_is_too_long_is_left_out() {
    let (mut meter, mut edge) = (Meter::default(), Edge::new("eu-1", "eu"));
    edge.tell(&mut meter, START, 10);
    meter.take(START + MINUTE, 10);
    // Ten minutes that nobody here heard of, in which its players went on.
    edge.seconds += 6000;
    edge.tell(&mut meter, START + 10 * MINUTE, 10);
    let taken = buckets(meter.take(START + 11 * MINUTE, 10));
    for minute in 0..10 {
        let demo = of(&taken, START + minute * MINUTE, Kind::Channel, "demo");
        assert!(demo.viewer_ms.abs_diff(600_000) <= 2000, "{minute}: {demo:?}");
        let region = of(&taken, START + minute * MINUTE, Kind::Region, "eu");
        assert_eq!((region.viewer_ms, region.heard_ms), (600_000, 60_000));
    }
    edge.seconds += 100_000;
    edge.tell(&mut meter, START + 60 * MINUTE, 10);
    let after = total(&buckets(meter.take(START + 61 * MINUTE, 10)), Kind::Channel);
    assert_eq!(after.viewer_ms, 0, "nobody knows when that was");
}

#[test]
fn a_process_that_starts_anew_counts_from_nothing_and_one_first_heard_late_from_there() {
    let (mut meter, mut edge) = (Meter::default(), Edge::new("eu-1", "eu"));
    edge.seconds = 1_000_000;
    meter.heard(START, &edge.id, &edge.region, &edge.beat(10));
    edge.tell(&mut meter, START + 1000, 10);
    (edge.started_at, edge.seconds, edge.bytes) = (2, 0, 0);
    edge.tell(&mut meter, START + 2000, 7);
    edge.tell(&mut meter, START + 3000, 7);
    // As an edge that has forgotten a channel nobody watched.
    edge.seconds = 0;
    edge.tell(&mut meter, START + 4000, 3);
    let taken = buckets(meter.take(START + MINUTE, 10));
    assert_eq!(of(&taken, START, Kind::Channel, "demo").viewer_ms, (10 + 7 + 7 + 3) * 1000);
}

#[test]
fn who_changes_instances_is_counted_once() {
    let (mut a, mut b, mut edge) = (Meter::default(), Meter::default(), Edge::new("eu-1", "eu"));
    for second in 0..60 {
        let (now, beat) = (START + second * 1000, edge.second(10));
        let (here, there) = if (20..40).contains(&second) { (&mut b, &mut a) } else { (&mut a, &mut b) };
        here.heard(now, &edge.id, &edge.region, &beat);
        there.heard_elsewhere(now, &edge.id, &edge.region, &beat);
        // What comes late of what was heard here is no news.
        here.heard_elsewhere(now - 500, &edge.id, &edge.region, &beat);
    }
    let taken = [a, b].map(|mut meter| buckets(meter.take(START + MINUTE, 10)));
    for kind in [Kind::Channel, Kind::Region, Kind::Node] {
        let [one, other] = taken.each_ref().map(|taken| total(taken, kind));
        assert_eq!(one.viewer_ms + other.viewer_ms, 590_000, "{kind:?}");
        assert_eq!((one.peak, other.peak), (10, 10));
    }
    let [one, other] = taken.each_ref().map(|taken| total(taken, Kind::Country));
    assert_eq!((one.viewer_ms + other.viewer_ms, one.peak, other.peak), (443_000, 7, 7));
}

#[test]
fn the_silent_have_no_viewers_and_come_back_with_what_they_counted() {
    let (mut meter, mut edge) = (Meter::default(), Edge::new("eu-1", "eu"));
    edge.tell(&mut meter, START, 10);
    for second in 1..200 {
        meter.expire(START + second * 1000);
    }
    let taken = buckets(meter.take(START + 200_000, 10));
    assert_eq!(of(&taken, START, Kind::Region, "eu").peak, 10);
    assert_eq!(of(&taken, START + 2 * MINUTE, Kind::Region, "eu").peak, 0);
    assert_eq!(of(&taken, START + 2 * MINUTE, Kind::Channel, "demo").peak, 0);
    assert_eq!(of(&taken, START + 2 * MINUTE, Kind::Country, "PE").peak, 0);
    edge.seconds += 2000;
    edge.tell(&mut meter, START + 201_000, 10);
    let late = total(&buckets(meter.take(START + 300_000, 10)), Kind::Channel);
    assert_eq!((late.viewer_ms, late.peak), (2_010_000, 10));
}

#[test]
fn an_edge_in_another_region_counts_there() {
    let (mut meter, mut edge) = (Meter::default(), Edge::new("eu-1", "eu"));
    edge.tell(&mut meter, START, 10);
    edge.tell(&mut meter, START + 1000, 10);
    edge.region = "us".parse().unwrap();
    edge.tell(&mut meter, START + 2000, 10);
    edge.tell(&mut meter, START + MINUTE, 10);
    let taken = buckets(meter.take(START + 2 * MINUTE, 10));
    assert_eq!(of(&taken, START, Kind::Region, "eu").viewer_ms, 10_000);
    assert_eq!(of(&taken, START + MINUTE, Kind::Region, "eu").peak, 0);
    assert_eq!(of(&taken, START + MINUTE, Kind::Region, "us").peak, 10);
}

#[test]
fn channels_beyond_the_most_watched_are_one() {
    let (mut meter, id, region) = (Meter::default(), "eu-1".parse().unwrap(), "eu".parse().unwrap());
    for second in 0..3 {
        let channel = |n: u32| Audience {
            channel: format!("c{n:03}").parse().unwrap(),
            hls: n,
            dash: 0,
            other: 0,
            viewer_seconds: u64::from(n) * second,
            bytes: 0,
            qoe: Qoe::default(),
            countries: BTreeMap::new(),
        };
        let beat = Heartbeat { audience: (1..=20).map(channel).collect(), ..Heartbeat::default() };
        meter.heard(START + second * 1000, &id, &region, &beat);
    }
    let taken = buckets(meter.take(START + MINUTE, 5));
    let channels: Vec<_> =
        taken.keys().filter(|(_, kind, _)| *kind == Kind::Channel).map(|(_, _, name)| name).collect();
    assert_eq!(channels, [OTHERS, "c016", "c017", "c018", "c019", "c020"]);
    assert_eq!(of(&taken, START, Kind::Channel, OTHERS).viewer_ms, 2000 * (1..=15).sum::<u64>());
    assert_eq!(of(&taken, START, Kind::Channel, "c020").viewer_ms, 40_000);
}

#[test]
fn what_could_not_be_kept_comes_again_until_there_is_too_much() {
    let (mut meter, mut edge) = (Meter::default(), Edge::new("eu-1", "eu"));
    let mut lost = 0;
    for minute in 0..70 {
        let now = START + minute * MINUTE;
        edge.tell(&mut meter, now, 10);
        let taken = meter.take(now, 10);
        lost += meter.give_back(taken);
    }
    let minutes = buckets(meter.take(START + 70 * MINUTE, 10));
    assert_eq!(minutes.keys().filter(|(_, kind, _)| *kind == Kind::Region).count(), MAX_MINUTES + 1);
    assert_eq!(lost, 9);
}

proptest! {
    /// Whatever comes in whatever order: nothing is counted twice, nothing overflows, and each minute has at most its length.
    #[test]
    fn whatever_comes_is_counted_once(
        beats in prop::collection::vec((0..4_u64, 0..90_000_u64, 0..1000_u32, prop::bool::weighted(0.1)), 1..80),
    ) {
        let mut meter = Meter::default();
        let mut edges = [0, 1, 2, 3].map(|n| Edge::new(&format!("eu-{n}"), "eu"));
        let (mut now, mut counted, mut last, mut taken) = (START, 0, [None::<u64>; 4], Vec::new());
        for (which, later, viewers, restarts) in beats {
            now += later;
            let edge = &mut edges[which as usize];
            if restarts {
                (edge.started_at, edge.seconds, edge.bytes) = (edge.started_at + 1, 0, 0);
            }
            let beat = edge.second(viewers);
            // Who was silent for too long begins again.
            if last[which as usize].is_some_and(|at| now - at <= MAX_GAP) {
                counted += u64::from(viewers);
            }
            last[which as usize] = Some(now);
            meter.heard(now, &edge.id, &edge.region, &beat);
            meter.expire(now);
            taken.extend(meter.take(now, 10));
        }
        taken.extend(meter.take_all(now, 10));
        let mut sum = Amounts::default();
        for bucket in taken.iter().filter(|bucket| bucket.key.kind == Kind::Channel) {
            sum.after(&bucket.amounts);
        }
        prop_assert_eq!(sum.viewer_ms, counted * 1000);
        prop_assert_eq!(sum.bytes, counted * 1000);
        prop_assert!(taken.iter().all(|bucket| bucket.amounts.heard_ms <= MINUTE));
        prop_assert!(sum.peak <= 4000);
    }
}
