//! Who watched, added up and rolled up, on both databases.

use super::*;
use crate::audience::series::Span;
use crate::audience::{Amounts, Bucket, By, DAY, HOUR, Kind, MINUTE, OTHERS};

on_both! {
    minutes_of_several_instances_add_up
    longer_buckets_say_what_the_shorter_ones_said
}

fn counted(at: u64, kind: Kind, name: &str, viewers: u64) -> Bucket {
    let amounts = Amounts {
        heard_ms: if kind == Kind::Region { MINUTE } else { 0 },
        viewer_ms: viewers * MINUTE,
        peak: viewers + 5,
        bytes: viewers * 1000,
        ..Amounts::default()
    };
    Bucket { at, key: crate::audience::Key { kind, name: name.into(), region: "eu".into() }, amounts }
}

/// The first three rows of a width, with the minutes watched.
async fn named(store: &Store, width: u64, kind: Kind) -> Vec<(String, i64)> {
    let query = sqlx::query_as::<_, (String, i64)>(
        "SELECT name, viewer_ms / 60000 FROM audience WHERE width = $1 AND kind = $2 ORDER BY at, name LIMIT 3",
    );
    query.bind(width.cast_signed()).bind(kind.word()).fetch_all(&store.pool).await.unwrap()
}

async fn minutes_of_several_instances_add_up(place: Place) {
    let (a, b) = (place.open().await, place.open().await);
    let mut one = counted(0, Kind::Region, "eu", 100);
    one.amounts.qoe.reports = 3;
    one.amounts.qoe.latency_ms = nearcast_api::audience::Sum { count: 2, total: 9 };
    let all: Vec<Bucket> =
        (0..75).map(|n| counted(0, Kind::Channel, &format!("c{n}"), n)).chain([one.clone()]).collect();
    // In the same moment, as minutes end everywhere at once.
    let (first, second) = tokio::join!(a.add_minutes(&all), b.add_minutes(&all));
    first.and(second).unwrap();
    let minute = Span { from: 0, to: MINUTE, step: MINUTE, width: MINUTE };
    let region = a.audience(minute, Kind::Region, &[], "eu").await.unwrap();
    let mut both = one.amounts;
    both.after(&one.amounts);
    both.heard_ms = MINUTE;
    // Each had 105 at most; together they had 200 on the mean.
    assert_eq!(region, [(0, Amounts { peak: 200, peak_bps: 26_666, ..both })]);
    let peaks = async |names: &[&str]| b.audience(minute, Kind::Channel, names, "").await.unwrap()[0].1.peak;
    assert_eq!((peaks(&["c7"]).await, peaks(&["c7", "c74", "none"]).await), (14, 14 + 148));
    let top = a.most_watched(minute, Kind::Channel, By::WatchTime, "eu", 2).await.unwrap();
    assert_eq!(top.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["c74", "c73"]);
    // What nobody can have watched stays a number that can be summed up.
    let absurd = Amounts { viewer_ms: u64::MAX, bytes: u64::MAX, ..Amounts::default() };
    for _ in 0..3 {
        a.add_minutes(&[Bucket { amounts: absurd, ..counted(MINUTE, Kind::Region, "eu", 0) }]).await.unwrap();
    }
    assert!(a.roll_up(DAY, [DAY; 4], 10).await.unwrap().is_some());
}

async fn longer_buckets_say_what_the_shorter_ones_said(place: Place) {
    let store = place.open().await;
    let kept = [2 * HOUR, DAY, 7 * DAY, 30 * DAY];
    let span = |width: u64| Span { from: 0, to: 10 * DAY, step: width, width };
    let mut minutes = Vec::new();
    // Three hours. In each ten minutes another two of five channels are watched most.
    for minute in 0..180 {
        minutes.push(counted(minute * MINUTE, Kind::Region, "eu", 100 + minute));
        for channel in 0..5 {
            let viewers = if minute / 10 % 4 == channel { 50 } else { channel };
            minutes.push(counted(minute * MINUTE, Kind::Channel, &format!("c{channel}"), viewers));
            minutes.push(counted(minute * MINUTE, Kind::Country, &format!("C{channel}"), viewers));
        }
    }
    store.add_minutes(&minutes).await.unwrap();
    let now = 3 * HOUR + 30_000;
    assert!(store.roll_up(now, kept, 2).await.unwrap().is_some());
    assert_eq!(store.roll_up(now + 1000, kept, 2).await.unwrap(), None, "once in a minute");
    // What comes late is in the longer buckets a minute later; doing all again changes nothing.
    let before = store.audience(span(HOUR), Kind::Channel, &[], "").await.unwrap();
    assert!(store.roll_up(now + MINUTE, kept, 2).await.unwrap().is_some());
    assert_eq!(store.audience(span(HOUR), Kind::Channel, &[], "").await.unwrap(), before);
    store.add_minutes(&[counted(3 * HOUR - MINUTE, Kind::Region, "eu", 1000)]).await.unwrap();
    assert!(store.roll_up(now + 10 * MINUTE, kept, 2).await.unwrap().is_some());

    let regions = async |width| store.audience(span(width), Kind::Region, &[], "").await.unwrap();
    let hours = regions(HOUR).await;
    let seen: Vec<_> =
        hours.iter().map(|(at, amounts)| (at / HOUR, amounts.peak, amounts.heard_ms)).collect();
    assert_eq!(seen, [(0, 164, HOUR), (1, 224, HOUR), (2, 1279, HOUR)]);
    let all = (100..280).sum::<u64>() + 1000;
    for width in [10 * MINUTE, HOUR] {
        let total: u64 = regions(width).await.iter().map(|(_, amounts)| amounts.viewer_ms).sum();
        assert_eq!(total, all * MINUTE, "{width}");
    }
    let first = named(&store, 10 * MINUTE, Kind::Channel).await;
    assert_eq!(first, [(OTHERS.to_owned(), 10 * (1 + 2 + 3)), ("c0".to_owned(), 500), ("c4".to_owned(), 40)]);
    // There are not so many countries that some would share a bucket.
    let there = named(&store, 10 * MINUTE, Kind::Country).await;
    assert_eq!(there, [("C0".to_owned(), 500), ("C1".to_owned(), 10), ("C2".to_owned(), 20)]);
    let top = store.most_watched(span(10 * MINUTE), Kind::Country, By::WatchTime, "", 9).await.unwrap();
    assert!(top.len() == 5 && top.iter().all(|one| one.name.starts_with('C')), "{top:?}");
    let hour = named(&store, HOUR, Kind::Channel).await;
    assert_eq!(hour.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), [OTHERS, "c0", "c1"]);

    // Hours later minutes are gone, and what was made of them is there.
    assert!(store.roll_up(now + 5 * HOUR, kept, 2).await.unwrap().is_some());
    assert_eq!(store.audience(span(MINUTE), Kind::Region, &[], "").await.unwrap(), []);
    let total: u64 = regions(DAY).await.iter().map(|(_, amounts)| amounts.viewer_ms).sum();
    assert_eq!(total, all * MINUTE);
    // After a year, the hours too.
    assert!(store.roll_up(365 * DAY, kept, 2).await.unwrap().is_some());
    assert_eq!((regions(HOUR).await.len(), regions(DAY).await.len()), (0, 0));
}
