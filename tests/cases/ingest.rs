//! What a publisher and an operator are told of a stream: its health, its warnings, its limits, its history.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use http::Method;
use nearcast_tests::admin::Admin;
use nearcast_tests::client::Protocol;
use nearcast_tests::player::{Until, follow, renditions};
use nearcast_tests::publisher::Feed;
use nearcast_tests::world::World;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::bad_input::{demo_goes_on, publish, refused};
use crate::shared;

#[tokio::test]
async fn an_operator_reads_how_a_publisher_does_and_what_happened_to_it() -> Result<()> {
    let world = world("health").await?;
    let admin = world.admin().await?;
    let key = world.channel("measured").await?;
    let video = "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -bf 2 -g 240 -keyint_min 240 -sc_threshold 0 -b:v 600k";
    let feed = Feed::pattern(360).video(&video.split(' ').collect::<Vec<_>>());
    let mut publisher = feed.publish(&world.rtmp(&key), "publisher-measured", &world.logs())?;

    let health = until(&admin, "/channels/measured/ingest", |state| {
        let health = &state["publishers"][0]["health"];
        let warned = ["keyframes_rare", "b_frames"].iter().all(|code| warning(health, code).is_some());
        (warned && health["video"]["bitrate"]["mean"].as_u64() > Some(0)).then(|| health.clone())
    })
    .await?;
    let video = &health["video"];
    ensure!(video["width"] == 640 && video["height"] == 360, "{health:#}");
    ensure!(video["codec"].as_str().is_some_and(|codec| codec.starts_with("avc1.")), "{health:#}");
    ensure!(about(&video["frame_rate"], 30.0, 0.5) && about(&video["keyframe_s"], 8.0, 0.1), "{health:#}");
    ensure!(video["keyframe_frames"] == 240 && video["b_frames"] == true, "{health:#}");
    ensure!(about(&video["bitrate"]["mean"], 600_000.0, 300_000.0), "{health:#}");
    // It is silent but for a beep every 2 s, and AAC spends little on that.
    ensure!(about(&health["audio"]["bitrate"]["mean"], 70_000.0, 66_000.0), "{health:#}");
    ensure!(health["audio"]["sample_rate"] == 48_000 && health["audio"]["channels"] == 2, "{health:#}");
    ensure!(about(&health["drift_ms"], 0.0, 150.0) && about(&health["pace"], 1.0, 0.1), "{health:#}");
    ensure!(health["protocol"] == "rtmp" && health["family"] == "ipv4", "{health:#}");
    ensure!(health["on_air"] == true && health["reconnects"] == 0, "{health:#}");
    ensure!(health["encoder"].as_str().is_some_and(|name| name.contains("Lavf")), "{health:#}");
    let text = warning(&health, "keyframes_rare").context("no warning")?;
    ensure!(text.starts_with("keyframes every 8 s: viewers will join slowly"), "{text}");

    let series = world.origin_metrics().await?;
    let of = |name: &str, more: &str| {
        series.sum(&format!("nearcast_publisher_{name}"), &["channel=\"measured\"", more])
    };
    ensure!(of("warnings", "code=\"keyframes_rare\"") == 1.0 && of("warnings", "code=\"b_frames\"") == 1.0);
    ensure!((of("keyframe_interval", "") - 8.0).abs() < 0.1 && (of("frame_rate", "") - 30.0).abs() < 0.5);
    ensure!(of("bitrate", "track=\"video\"") > 300_000.0 && of("pace", "") > 0.9);

    publisher.stop(LIMIT).await?;
    let kinds = until(&admin, "/channels/measured/events", |log| {
        let kinds = kinds(log);
        kinds.contains(&"stopped".to_owned()).then_some(kinds)
    })
    .await?;
    ensure!(kinds.first().is_some_and(|kind| kind == "started"), "{kinds:?}");
    ensure!(kinds.contains(&"warning_raised keyframes_rare".to_owned()), "{kinds:?}");
    let series = world.origin_metrics().await?;
    let left = series.sum("nearcast_publisher_pace", &["channel=\"measured\""]);
    ensure!(left == 0.0, "the channel's series stay");
    Ok(())
}

#[tokio::test]
async fn an_operator_reads_whose_line_was_lost_who_stood_in_and_who_came_back() -> Result<()> {
    let world = world("lines").await?;
    let admin = world.admin().await?;
    let key = world.channel("two").await?;
    let backup_key = admin.create_backup_key("two").await?;

    let feed = Feed::pattern(360);
    let mut first = feed.publish(&world.srt(&key), "publisher-first", &world.logs())?;
    until(&admin, "/channels/two/ingest", |state| (on_air(state) == ["srt"]).then_some(())).await?;
    let mut backup = feed.publish(&world.rtmps(&backup_key), "publisher-backup", &world.logs())?;
    // Both are measured, the one that viewers see comes first.
    let both = until(&admin, "/channels/two/ingest", |state| {
        let standby = &state["publishers"][1]["health"];
        (standby["video"]["bitrate"]["mean"].as_u64() > Some(0)).then(|| state.clone())
    })
    .await?;
    ensure!(on_air(&both) == ["srt"], "{both:#}");
    let standby = &both["publishers"][1]["health"];
    ensure!(standby["protocol"] == "rtmps" && standby["backup"] == true, "{both:#}");
    ensure!(
        standby["on_air"] == false && both["publishers"][0]["health"]["video"]["height"] == 360,
        "{both:#}"
    );

    first.kill().await?;
    let said = |what: &'static str| move |log: &Value| kinds(log).contains(&what.to_owned()).then_some(());
    until(&admin, "/channels/two/events", said("switched backup")).await?;
    until(&admin, "/channels/two/events", said("lost primary")).await?;
    until(&admin, "/channels/two/ingest", |state| (on_air(state) == ["rtmps"]).then_some(())).await?;
    let again = feed.publish(&world.srt(&key), "publisher-again", &world.logs())?;
    until(&admin, "/channels/two/events", said("switched primary")).await?;
    let log = admin.get("/channels/two/events").await?;
    let kinds = kinds(&log);
    let lines: Vec<_> = kinds.iter().filter(|kind| !kind.starts_with("warning")).collect();
    // SRT says nothing of a process that is killed: the backup is on the air before the line is given up.
    let expected = ["started", "switched backup", "lost primary", "reconnected primary", "switched primary"];
    ensure!(lines == expected.each_ref(), "{lines:?}");
    ensure!(text_of(&log, "reconnected").contains("the publisher is back after"), "{log:#}");
    let state = admin.get("/channels/two/ingest").await?;
    ensure!(state["publishers"][0]["health"]["reconnects"] == 1, "{state:#}");
    ensure!(backup.running(), "the backup has ended:\n{}", backup.last_words());
    drop(again);
    Ok(())
}

#[tokio::test]
async fn three_times_the_allowed_bitrate_is_refused_in_words_and_harms_nobody() -> Result<()> {
    // 650 kb/s of video and 128 of audio.
    let limits = json!({ "bitrate": 250_000 });
    let feed = Feed::pattern(360);
    let viewer = shared().viewer("eu-1", Protocol::H2).await?;
    let source = renditions(&viewer, "demo").await?.swap_remove(0);
    let watching = follow(&viewer, &source, Until::Segments(5));
    let refusing = limited("too-fast", limits, &feed, "bitrate limit: you send ");
    let (followed, text) = tokio::try_join!(watching, refusing)?;
    followed.strict()?;
    ensure!(text.contains("this channel takes 250 kb/s"), "{text}");
    demo_goes_on().await
}

#[tokio::test]
async fn a_picture_larger_than_allowed_is_refused_in_words() -> Result<()> {
    let (limits, feed) = (json!({ "height": 240 }), Feed::pattern(360));
    let text = limited("too-large", limits, &feed, "resolution limit: you send 640x360").await?;
    ensure!(text.contains("lower the encoder's output resolution"), "{text}");
    // SRT has no words for a publisher that is let in already: the operator reads them.
    let world = shared();
    let key = world.admin().await?.create_key("too-large").await?;
    let mut publisher = feed.publish(&world.srt(&key), "publisher-too-large-srt", &world.logs())?;
    publisher.ended(LIMIT).await?;
    let metrics = world.origin_metrics().await?;
    let refused = metrics.sum("nearcast_ingest_refused_total", &["reason=\"resolution\""]);
    ensure!(refused == 2.0, "{refused} publishers were refused");
    Ok(())
}

#[tokio::test]
async fn an_operator_takes_a_key_away_closes_a_channel_and_deletes_one() -> Result<()> {
    let world = world("sent-away").await?;
    let admin = world.admin().await?;
    let first_key = world.channel("demo").await?;
    let feed = Feed::pattern(360);
    let mut first = world.publish("demo", &first_key, &feed).await?;
    let viewer = world.viewer("eu-1", Protocol::H2).await?;
    let before = renditions(&viewer, "demo").await?.swap_remove(0);

    // Without its key the encoder is sent away, and the broadcast goes on with another.
    let keys = admin.get("/channels/demo/keys").await?;
    let id = keys["keys"][0]["id"].as_str().context("no key")?.to_owned();
    let none = json!(null);
    admin.send(Method::DELETE, &format!("/channels/demo/keys/{id}"), &none).await?.expect(204)?;
    refused(&mut first, "the stream key has been deleted").await?;
    let key = admin.create_key("demo").await?;
    let mut second = feed.publish(&world.rtmp(&key), "publisher-second", &world.logs())?;
    until(&admin, "/channels/demo/ingest", |state| (on_air(state) == ["rtmp"]).then_some(())).await?;
    let now = renditions(&viewer, "demo").await?.swap_remove(0);
    ensure!(now.path == before.path, "viewers were sent to another broadcast: {}", now.path);

    // A closed channel's broadcast ends for viewers, and nobody gets in.
    let settings = |closed: Value| json!({ "settings": { "closed": closed } });
    let watching = follow(&viewer, &now, Until::Ended);
    let closing = async {
        admin.send(Method::PATCH, "/channels/demo", &settings(json!(true))).await?.expect(200)?;
        refused(&mut second, "channel demo is closed").await
    };
    let (followed, ()) = tokio::try_join!(watching, closing)?;
    followed.strict()?;
    let mut knocking = feed.publish(&world.rtmp(&key), "publisher-knocks", &world.logs())?;
    refused(&mut knocking, "channel demo is closed").await?;
    until(&admin, "/channels/demo/ingest", |state| state["live"].is_null().then_some(())).await?;

    // And what waits for its publisher ends as well.
    admin.send(Method::PATCH, "/channels/demo", &settings(none.clone())).await?.expect(200)?;
    until(&admin, "/channels/demo", |state| state["settings"]["closed"].is_null().then_some(())).await?;
    let mut third = feed.publish(&world.rtmp(&key), "publisher-third", &world.logs())?;
    until(&admin, "/channels/demo/ingest", |state| (on_air(state) == ["rtmp"]).then_some(())).await?;
    let waiting = timeout(LIMIT, async {
        let mut ticks = tokio::time::interval(Duration::from_millis(250));
        loop {
            // Those who watched the closed one may still see its end.
            ticks.tick().await;
            let newest = renditions(&viewer, "demo").await?.swap_remove(0);
            if newest.path != now.path {
                return anyhow::Ok(newest);
            }
        }
    });
    let waiting = waiting.await.context("a closed broadcast goes on")??;
    follow(&viewer, &waiting, Until::Segments(1)).await?.strict()?;
    third.kill().await?;
    let waits = |state: &Value| {
        (!state["live"].is_null() && state["publishers"].as_array().is_some_and(Vec::is_empty)).then_some(())
    };
    until(&admin, "/channels/demo/ingest", waits).await?;
    let watching = follow(&viewer, &waiting, Until::Ended);
    let deleting = async { admin.send(Method::DELETE, "/channels/demo", &none).await?.expect(204) };
    let (followed, _) = tokio::try_join!(watching, deleting)?;
    followed.strict()?;

    // SRT's encoders are sent away too.
    let key = world.channel("srt").await?;
    let mut publisher = feed.publish(&world.srt(&key), "publisher-srt", &world.logs())?;
    let line = until(&admin, "/channels/srt/ingest", |state| {
        let health = &state["publishers"][0]["health"];
        (health["on_air"] == true && health["line"]["rtt_ms"].as_f64() > Some(0.0))
            .then(|| health["line"].clone())
    })
    .await?;
    ensure!(line["lost_packets"] == 0 && line["latency_ms"].as_u64() >= Some(120), "{line:#}");
    admin.send(Method::DELETE, "/channels/srt", &none).await?.expect(204)?;
    publisher.ended(LIMIT).await?;
    Ok(())
}

/// A world without a ladder.
async fn world(name: &str) -> Result<World> {
    let origin = "[transcode]\nenabled = false\n[failover]\nfailback = 4\n";
    World::builder(name).edges(["eu-1"]).setting("origin-1", origin).start().await
}

/// Publishes to a channel with these limits: FFmpeg must be told `why`, and the log of the channel says the same.
async fn limited(channel: &str, limits: Value, feed: &Feed, why: &str) -> Result<String> {
    let world = shared();
    let admin = world.admin().await?;
    // The key comes after the limits, so an origin that knows the key knows them.
    let body = json!({ "id": channel, "settings": { "limits": limits } });
    admin.send(Method::POST, "/channels", &body).await?.expect(201)?;
    let key = admin.create_key(channel).await?;
    refused(&mut publish(channel, &key, feed)?, why).await?;
    until(&admin, &format!("/channels/{channel}/events"), |log| {
        let refusal = log["events"].as_array()?.iter().find(|event| event["kind"] == "refused")?;
        refusal["text"].as_str().filter(|text| text.contains(why)).map(str::to_owned)
    })
    .await
}

/// Asks until the answer has what is looked for.
pub(crate) async fn until<T>(admin: &Admin, path: &str, look: impl Fn(&Value) -> Option<T>) -> Result<T> {
    let mut last = Value::Null;
    let found = timeout(LIMIT, async {
        let mut ticks = tokio::time::interval(Duration::from_millis(250));
        loop {
            ticks.tick().await;
            last = admin.get(path).await?;
            if let Some(found) = look(&last) {
                return Ok(found);
            }
        }
    });
    let found = found.await;
    found.with_context(|| format!("{path} stays {last:#}"))?
}

pub(crate) fn warning(health: &Value, code: &str) -> Option<String> {
    let warnings = health["warnings"].as_array()?;
    warnings.iter().find(|warning| warning["code"] == code)?["text"].as_str().map(str::to_owned)
}

/// Kinds and codes of a channel's events, in their order.
fn kinds(log: &Value) -> Vec<String> {
    let said = |event: &Value, name: &str| event[name].as_str().unwrap_or_default().to_owned();
    let events = log["events"].as_array().into_iter().flatten();
    events.map(|event| format!("{} {}", said(event, "kind"), said(event, "code")).trim().to_owned()).collect()
}

/// What the first event of this kind says.
fn text_of<'a>(log: &'a Value, kind: &str) -> &'a str {
    let mut events = log["events"].as_array().into_iter().flatten();
    events.find(|event| event["kind"] == kind).and_then(|event| event["text"].as_str()).unwrap_or_default()
}

/// Protocols of the publishers that viewers see.
fn on_air(state: &Value) -> Vec<&str> {
    let publishers =
        state["publishers"].as_array().into_iter().flatten().map(|publisher| &publisher["health"]);
    publishers
        .filter(|health| health["on_air"] == true)
        .filter_map(|health| health["protocol"].as_str())
        .collect()
}

fn about(value: &Value, expected: f64, give: f64) -> bool {
    value.as_f64().is_some_and(|value| (value - expected).abs() <= give)
}

const LIMIT: Duration = Duration::from_secs(40);
