//! What an edge does for one request, without sockets: hits, playlists, and the crowd of one flight.

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot begin has nothing to say")]

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use nearcast_benches::feeder::{PART, PLAYLIST};
use nearcast_benches::handler::{Handler, request};
use nearcast_edge::cache::flight::{Join, Table};
use tokio::sync::oneshot;

fn hits(criterion: &mut Criterion) {
    let handler = Handler::new().unwrap();
    for (name, url, range) in [
        ("hit/part", PART.to_owned(), None),
        ("hit/range", PART.to_owned(), Some("bytes=1000-1999")),
        ("playlist/full", PLAYLIST.to_owned(), None),
        ("playlist/blocking", format!("{PLAYLIST}?_HLS_msn=11&_HLS_part=0"), None),
        ("playlist/delta", format!("{PLAYLIST}?_HLS_skip=YES"), None),
    ] {
        handler.warm(&url).unwrap();
        let ask = || {
            let mut request = request(&url).unwrap();
            if let Some(range) = range {
                request.headers_mut().insert("range", range.parse().unwrap());
            }
            request
        };
        criterion.bench_function(name, |bencher| {
            bencher.iter_batched(ask, |request| handler.hit(request).unwrap(), BatchSize::SmallInput);
        });
    }
}

/// A thousand requests join the flight of one object, and are told.
fn flight(criterion: &mut Criterion) {
    const CROWD: u64 = 1000;
    let mut group = criterion.benchmark_group("flight");
    group.throughput(Throughput::Elements(CROWD));
    group.bench_function("crowd", |bencher| {
        let mut table = Table::<(), _>::default();
        bencher.iter(|| {
            let join = |table: &mut Table<(), _>| {
                let (told, waiter) = oneshot::channel::<u64>();
                (table.join(PART, told), waiter)
            };
            let (Join::Fetch(_, permit), _first) = join(&mut table) else { unreachable!() };
            let waiting: Vec<_> = (1..CROWD).map(|_| join(&mut table)).collect();
            for waiter in table.land(permit) {
                let _gone = waiter.send(CROWD);
            }
            waiting
        });
    });
    group.finish();
}

criterion_group!(edge, hits, flight);
criterion_main!(edge);
