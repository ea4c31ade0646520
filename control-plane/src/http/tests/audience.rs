//! The audience over time and its forecast, through the API and over restarts and instances.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::world;
use crate::audience::{Amounts, Bucket, HOUR, Key, Kind, MINUTE};
use crate::store::{Database, Store};
use crate::testing::{ADMIN, NODE, World, postgres, spec};

fn now() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// So that what follows is in one.
async fn early_in_a_minute() {
    let left = MINUTE - now() % MINUTE;
    if left < 3000 {
        // What ends the minute is the clock, and there is no event to wait for.
        tokio::time::sleep(Duration::from_millis(left + 1)).await;
    }
}

/// A minute of a region and of a channel in it.
fn minute(at: u64, region: &str, channel: &str, viewers: u64) -> Vec<Bucket> {
    let amounts = Amounts {
        heard_ms: MINUTE,
        viewer_ms: viewers * MINUTE,
        peak: viewers + 1,
        bytes: viewers * 1_000_000,
        peak_bps: viewers * 1_000_000,
        ..Amounts::default()
    };
    let bucket = |kind, name: &str, heard_ms| Bucket {
        at,
        key: Key { kind, name: name.into(), region: region.into() },
        amounts: Amounts { heard_ms, ..amounts },
    };
    vec![bucket(Kind::Region, region, MINUTE), bucket(Kind::Channel, channel, 0)]
}

async fn token(world: &World, body: Value) -> String {
    world.post("/api-tokens", body).await.json()["token"].as_str().unwrap().to_owned()
}

fn beat(seconds: u64) -> Value {
    let sum = json!({ "count": seconds, "total": seconds * 100 });
    let qoe = json!({ "reports": 10 * seconds, "starved": seconds, "latency_ms": sum, "failed": 1 });
    let audience = json!([{ "channel": "demo", "hls": 7, "dash": 3, "viewer_seconds": 10 * seconds, "bytes": 5000 * seconds, "qoe": qoe }]);
    let country = |code: &str, share: u64| json!({ "country": code, "viewers": share, "viewer_seconds": share * seconds, "bytes": 500 * share * seconds, "qoe": qoe });
    let countries = [country("PE", 6), country("CL", 3)];
    json!({ "load": { "cpu": 0.5, "viewers": 10, "egress_bps": 40_000 }, "started_at": 1, "audience": audience, "countries": countries })
}

#[tokio::test]
async fn what_edges_tell_is_there_after_a_restart() {
    let (world, directory) = world().await;
    for (edge, region, address) in [("eu-1", "eu", "127.0.0.1"), ("us-1", "us", "127.0.0.2")] {
        world.register(&spec(edge, "edge", region, &[address])).await;
    }
    world.post("/channels", json!({ "id": "demo", "category": "sports" })).await;
    early_in_a_minute().await;
    for seconds in 0..3 {
        for edge in ["eu-1", "us-1"] {
            let path = format!("/api/v1/nodes/{edge}/heartbeat");
            let answer = world.send(Method::POST, &path, NODE, beat(seconds).to_string()).await;
            assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        }
        // Means are over time, and of that there has to be some.
        let said = now();
        while now() < said + 2 {
            tokio::task::yield_now().await;
        }
    }
    // A stop keeps what the minute has so far.
    world.daemon.drain.begin();
    world.daemon.drain.wait(Duration::from_secs(10)).await.unwrap();
    let world = World::start(directory.path()).await;
    let sum = |answer: &Value, field: &str| {
        answer["buckets"]
            .as_array()
            .unwrap()
            .iter()
            .map(|bucket| bucket[field].as_u64().unwrap())
            .sum::<u64>()
    };
    let all = world.get("/audience?channel=demo").await.json();
    assert_eq!((sum(&all, "viewer_seconds"), sum(&all, "egress_bytes")), (40, 20_000), "{all}");
    let sports = world.get("/audience?category=sports").await.json();
    assert_eq!((sum(&sports, "viewer_seconds"), sum(&sports, "egress_bytes")), (40, 20_000), "{sports}");
    let music = world.get("/audience?category=music").await.json();
    assert_eq!(sum(&music, "viewer_seconds"), 0);
    assert_eq!(world.get("/audience?category=nothing").await.status, StatusCode::NOT_FOUND);
    let eu = world.get("/audience?channel=demo&region=eu").await.json();
    assert_eq!((sum(&eu, "viewer_seconds"), sum(&eu, "egress_bytes")), (20, 10_000), "{eu}");
    let quality = &eu["buckets"].as_array().unwrap().last().unwrap()["qoe"];
    assert_eq!((&quality["rebuffer_ratio"], &quality["latency_ms"]), (&json!(0.1), &json!(100.0)));
    assert!(quality.get("startup_ms").is_none() && quality["errors"] == 0);
    let node = world.get("/audience?node=us-1").await.json();
    assert_eq!(node["buckets"].as_array().unwrap().last().unwrap()["viewers_peak"], 10);
    let none = world.get("/audience?channel=other").await.json();
    assert_eq!(sum(&none, "viewer_seconds"), 0);
    assert!(!none["buckets"].as_array().unwrap().is_empty(), "nobody watched it, which is known");
    let top = world.get("/audience/top").await.json();
    assert_eq!(top["channels"][0]["channel"], "demo");
    let peru = world.get("/audience?country=PE").await.json();
    assert_eq!((sum(&peru, "viewer_seconds"), sum(&peru, "egress_bytes")), (24, 12_000), "{peru}");
    let last = peru["buckets"].as_array().unwrap().last().unwrap();
    assert_eq!((&last["viewers_peak"], &last["qoe"]["rebuffer_ratio"]), (&json!(12), &json!(0.1)));
    let there = world.get("/audience?country=PE&region=us").await.json();
    assert_eq!(sum(&there, "viewer_seconds"), 12, "{there}");
    let brazil = world.get("/audience?country=BR").await.json();
    assert_eq!(sum(&brazil, "viewer_seconds"), 0);
    let countries = world.get("/audience/countries?by=watch_time").await.json();
    let seen: Vec<_> = countries["countries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            (
                one["country"].as_str().unwrap(),
                one["viewers_peak"].as_u64().unwrap(),
                one["viewer_seconds"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(seen, [("PE", 12, 24), ("CL", 6, 12)], "who is in the one that nobody knows is in none");
}

#[tokio::test]
async fn what_is_asked_for_is_answered_or_said_to_be_wrong() {
    let (world, directory) = world().await;
    let store = Store::open(&Database::Sqlite(directory.path().join("control.db"))).await.unwrap();
    let base = now() / MINUTE * MINUTE - 10 * MINUTE;
    for (back, viewers) in [(0, 10), (1, 20), (3, 30)] {
        for (region, channel, times) in [("eu", "demo", 1), ("us", "demo", 1), ("eu", "other", 3)] {
            store
                .add_minutes(&minute(base - back * MINUTE, region, channel, viewers * times)[1..])
                .await
                .unwrap();
        }
        for region in ["eu", "us"] {
            store.add_minutes(&minute(base - back * MINUTE, region, "x", viewers * 2)[..1]).await.unwrap();
        }
    }
    let from = base - 3 * MINUTE;
    let asked = async |query: &str| world.get(&format!("/audience?from={from}&{query}")).await.json();
    let viewers = |answer: &Value| {
        let bucket =
            |bucket: &Value| (bucket["at"].as_u64().unwrap(), bucket["viewers_mean"].as_f64().unwrap());
        answer["buckets"].as_array().unwrap().iter().map(bucket).collect::<Vec<_>>()
    };
    // The minute between is no zero: nobody was heard.
    let expected = [(from, 60.0), (base - MINUTE, 40.0), (base, 20.0)];
    assert_eq!(viewers(&asked("channel=demo").await), expected);
    assert_eq!(viewers(&asked("region=eu").await), expected);
    let table = world
        .send_with(
            Method::GET,
            &format!("/api/v1/audience?from={from}"),
            ADMIN,
            &[("accept", "text/csv")],
            "",
        )
        .await;
    assert_eq!(table.headers["content-type"], "text/csv; charset=utf-8");
    let lines: Vec<String> = table.text().lines().map(str::to_owned).collect();
    assert_eq!((lines.len(), lines[0].split(',').count()), (4, lines[1].split(',').count()));
    assert!(lines[1].starts_with(&format!("{from},120,122,7200,")), "{}", lines[1]);

    let top = world.get(&format!("/audience/top?by=watch_time&from={from}&limit=1")).await.json();
    assert_eq!(
        (&top["channels"][0]["channel"], top["channels"].as_array().unwrap().len()),
        (&json!("other"), 1)
    );
    let us = world.get(&format!("/audience/top?by=egress&region=us&from={from}")).await.json();
    assert_eq!(
        (&us["channels"][0]["channel"], us["channels"].as_array().unwrap().len()),
        (&json!("demo"), 1)
    );

    let limited = token(&world, json!({ "scopes": ["read-only"], "channels": ["demo"] })).await;
    let send = async |path: &str| world.send(Method::GET, &format!("/api/v1{path}"), &limited, "").await;
    assert_eq!(send("/audience?channel=demo").await.status, StatusCode::OK);
    for path in [
        "/audience",
        "/audience?region=eu",
        "/audience?country=DE",
        "/audience/countries",
        "/audience?channel=other",
        "/forecast?region=eu",
    ] {
        assert_eq!(send(path).await.status, StatusCode::FORBIDDEN, "{path}");
    }
    let seen = send(&format!("/audience/top?from={from}&limit=1")).await.json();
    assert_eq!(
        (&seen["channels"][0]["channel"], seen["channels"].as_array().unwrap().len()),
        (&json!("demo"), 1)
    );

    for (path, says) in [
        ("/audience?step=1000", "multiple of 60000"),
        ("/audience?channel=a&node=b", "node"),
        ("/audience?region=a&node=b", "region"),
        ("/audience?category=a&node=b", "node"),
        ("/audience?category=a&channel=b", "category"),
        ("/audience?country=DE&channel=b", "country"),
        ("/audience?country=DE&node=b", "node"),
        ("/audience/countries?limit=501", "limit"),
        ("/audience?from=5&step=60000", "1500"),
        ("/audience?from=99999999999999", "from"),
        ("/audience/top?limit=0", "limit"),
        ("/forecast?region=eu&hours=337", "hours"),
    ] {
        let answer = world.get(path).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{path}: {}", answer.text());
        assert!(answer.problem().detail.contains(says), "{path}: {}", answer.text());
    }
    assert_eq!(world.get("/audience/top?by=luck").await.status, StatusCode::BAD_REQUEST);
    assert_eq!(world.get("/forecast").await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn two_instances_say_what_both_have_heard() {
    let database = postgres::database().await;
    let directories = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let start = async |which: usize| {
        World::start_with(directories[which].path(), |config| config.database = database.to_string()).await
    };
    let (a, b) = (start(0).await, start(1).await);
    a.populate().await;
    a.post("/channels", json!({ "id": "demo" })).await;
    let told = async {
        while b.get("/nodes/us-1").await.status != StatusCode::OK {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), told).await.expect("the other's nodes");
    early_in_a_minute().await;
    for seconds in 0..3 {
        for (world, edge) in [(&a, "eu-1"), (&b, "us-1")] {
            let path = format!("/api/v1/nodes/{edge}/heartbeat");
            let answer = world.send(Method::POST, &path, NODE, beat(seconds).to_string()).await;
            assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        }
        // Means are over time, and of that there has to be some.
        let said = now();
        while now() < said + 2 {
            tokio::task::yield_now().await;
        }
    }
    for world in [a, b] {
        world.daemon.drain.begin();
        world.daemon.drain.wait(Duration::from_secs(10)).await.unwrap();
    }
    let again = start(0).await;
    // Minutes: longer buckets have what the other added when they are next made.
    let all = again.get(&format!("/audience?channel=demo&from={}", now() - 10 * MINUTE)).await.json();
    let seconds =
        all["buckets"].as_array().unwrap().iter().map(|bucket| bucket["viewer_seconds"].as_u64().unwrap());
    assert_eq!(seconds.sum::<u64>(), 40, "each node once: {all}");
}

#[tokio::test]
async fn a_region_is_forecast_from_its_hours_or_it_is_said_that_there_are_too_few() {
    let (world, directory) = world().await;
    let none = world.get("/forecast?region=eu").await.json();
    assert_eq!((none["hours"].as_array().unwrap().len(), none["viewers"].get("method")), (0, None));
    assert!(none["note"].as_str().unwrap().contains("0 hours that are known, and 48 are needed"), "{none}");

    let store = Store::open(&Database::Sqlite(directory.path().join("control.db"))).await.unwrap();
    let this = now() / HOUR * HOUR;
    let mut minutes = Vec::new();
    for back in 1..=10 * 24 {
        let at = this - back * HOUR;
        let viewers = if at / HOUR % 24 < 12 { 100 } else { 1000 };
        for part in 0..60 {
            minutes.extend(minute(at + part * MINUTE, "eu", "demo", viewers).into_iter().take(1));
        }
    }
    store.add_minutes(&minutes).await.unwrap();
    let kept = crate::audience::Config { minutes: 48, ..Default::default() }.kept();
    store.roll_up(now(), kept, 200).await.unwrap().expect("rolled up");
    let made = world.get("/forecast?region=eu&hours=24").await.json();
    let hours = made["hours"].as_array().unwrap();
    assert_eq!((hours.len(), &hours[0]["at"], made.get("note")), (24, &json!(this), None));
    for hour in hours {
        let expected = if hour["at"].as_u64().unwrap() / HOUR % 24 < 12 { 101.0 } else { 1001.0 };
        let said = hour["viewers"]["expected"].as_f64().unwrap();
        assert!((said - expected).abs() < 0.05 * expected, "{hour}");
    }
    let viewers = &made["viewers"];
    assert_eq!((&viewers["known_hours"], &viewers["history_hours"]), (&json!(240), &json!(240)));
    assert!(
        viewers["backtest"].as_array().unwrap().iter().any(|score| score["hours_ahead"] == 24),
        "{viewers}"
    );
    assert!(viewers["method"].is_string() && viewers["baseline"].is_string());
    assert_eq!(made["short_at"], json!([]), "nobody has said what its edges can do");

    // A region whose only edge can have 500 is short in half of the hours.
    world.register(&spec("eu-1", "edge", "eu", &["127.0.0.1"])).await;
    let most = json!({ "nodes": { "eu-1": { "capacity": { "viewers": 500 } } } });
    world.send(Method::PUT, "/api/v1/topology/draft", ADMIN, most.to_string()).await;
    assert_eq!(world.post("/topology/draft/publish", json!({})).await.status, StatusCode::CREATED);
    let made = world.get("/forecast?region=eu&hours=24").await.json();
    let short = made["short_at"].as_array().unwrap();
    assert_eq!(short.len(), 12, "{short:?}");
    let is_right = |hour: &Value| hour["expected"] == true && hour["at"].as_u64().unwrap() / HOUR % 24 >= 12;
    assert!(short.iter().all(is_right), "{short:?}");
}
