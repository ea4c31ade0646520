//! Channels that are not for everybody: tokens in any player's URL, keys that are rotated, viewers who are sent away.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use http::Method;
use nearcast_tests::admin::Admin;
use nearcast_tests::browser::{self, Reach};
use nearcast_tests::client::{Client, Protocol};
use nearcast_tests::player::{Until, follow, renditions};
use nearcast_tests::publisher::Feed;
use nearcast_tests::world::World;
use serde_json::{Value, json};
use tokio::process::Command;

const INDEX: &str = "/live/demo/index.m3u8";

#[tokio::test]
async fn a_token_opens_a_channel_for_any_player_until_it_is_taken_away() -> Result<()> {
    let origin = "[transcode]\nenabled = false\n";
    let world = World::builder("access").below("us-1", "eu-1").setting("origin-1", origin).start().await?;
    let _publisher = world.broadcast("demo", &Feed::pattern(360)).await?;
    let admin = world.admin().await?;
    let plain = world.layout.edge("us-1").context("no edge")?.plain;

    let closed = json!({ "settings": { "playback": { "token": true } } });
    admin.send(Method::PATCH, "/channels/demo", &closed).await?.expect(200)?;
    let open = world.viewer("us-1", Protocol::H2).await?;
    let (seconds, refused) = until(&open, INDEX, 401).await?;
    eprintln!("closed after {seconds:.2} s");
    ensure!(refused.contains("/~TOKEN/live/"), "{refused}");

    let (anna, bert) = (token(&admin, "anna").await?, token(&admin, "bert").await?);
    // The edge below asks the one above, which has the same rule and knows its own.
    let viewer = world.viewer("us-1", Protocol::H2).await?.under(&format!("/~{anna}"));
    let other = world.viewer("us-1", Protocol::H3).await?.under(&format!("/~{bert}"));
    let source = renditions(&viewer, "demo").await?.swap_remove(0);
    let (by_h2, by_h3) = tokio::try_join!(
        follow(&viewer, &source, Until::Segments(2)),
        follow(&other, &source, Until::Segments(2))
    )?;
    ensure!(by_h2.media.len() > 10_000 && by_h3.media.len() > 10_000, "no media");
    let reply = viewer.get(INDEX).await?.expect(200)?;
    ensure!(reply.header("cache-control").starts_with("private"), "others may keep it: {:?}", reply.headers);

    // A player that knows nothing of tokens, in a header, and in a cookie.
    plays(plain, &anna).await?;
    for (name, value) in
        [("authorization", format!("Bearer {bert}")), ("cookie", format!("nearcast_token={bert}"))]
    {
        open.send(Method::GET, INDEX, &[(name, value.as_str())], Bytes::new()).await?.expect(200)?;
    }
    let wrong = format!("/~{}x{INDEX}", &anna[..anna.len() - 1]);
    open.get(&wrong).await?.expect(401)?;

    // The page, which keeps the token from every server's log.
    let picture = browser::artifacts()?.join("token.png");
    let seen = browser::watch(&world, &format!("demo#token={bert}"), Reach::Tcp, 4, &picture).await?;
    let (first, last) =
        (seen.samples.first().context("no samples")?, seen.samples.last().context("no samples")?);
    ensure!(last.time > first.time + 3.0 && seen.complaints.is_empty(), "{:#?}", seen.complaints);

    // Anna is sent away, in the middle of it; Bert stays.
    let kicked = Instant::now();
    admin.send(Method::POST, "/revocations", &json!({ "subject": "anna" })).await?.expect(201)?;
    let ended = follow(&viewer, &source, Until::Segments(60)).await.err().context("the viewer watches on")?;
    let seconds = kicked.elapsed().as_secs_f64();
    // What is promised of a viewer who is sent away.
    ensure!(seconds < 5.0 && format!("{ended:#}").contains("403"), "after {seconds} s: {ended:#}");
    follow(&other, &source, Until::Segments(1)).await?;

    // The key is rotated: tokens of the old one end with it.
    let old = admin.get("/playback-keys").await?["keys"][0]["id"].as_str().context("no key")?.to_owned();
    admin.send(Method::POST, "/playback-keys", &json!({})).await?.expect(201)?;
    admin.send(Method::DELETE, &format!("/playback-keys/{old}"), &json!({})).await?.expect(204)?;
    let (seconds, _) = until(&other, INDEX, 401).await?;
    eprintln!("an old key's tokens counted for {seconds:.2} s");
    let new = token(&admin, "carla").await?;
    world.viewer("eu-1", Protocol::H1).await?.under(&format!("/~{new}")).get(INDEX).await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn viewers_are_counted_by_channel_region_and_player_and_say_how_it_plays() -> Result<()> {
    let origin = "[transcode]\nenabled = false\n";
    let world = World::builder("audience").setting("origin-1", origin).start().await?;
    let _publisher = world.broadcast("demo", &Feed::pattern(360)).await?;
    let (eu, us) = (world.viewer("eu-1", Protocol::H2).await?, world.viewer("us-1", Protocol::H3).await?);
    let source = renditions(&eu, "demo").await?.swap_remove(0);
    let report = [("cmcd-request", "bl=(1500;v),mtp=(8000)"), ("cmcd-session", "v=2,sid=\"dash-1\"")];
    let reply = us.send(Method::GET, "/live/demo/index.mpd", &report, Bytes::new()).await?.expect(200)?;
    ensure!(reply.header("cmsd-dynamic").starts_with("\"us-1\";rd="), "{:?}", reply.headers);
    ensure!(reply.header("cmsd-static") == "ot=m,sf=d,st=l", "{:?}", reply.headers);
    follow(&eu, &source, Until::Segments(2)).await?;

    let admin = world.admin().await?;
    let viewers = async || -> Result<Value> {
        let all = admin.get("/viewers").await?;
        Ok(all["channels"]["demo"]["regions"].clone())
    };
    let deadline = Instant::now() + Duration::from_secs(10);
    let regions = loop {
        let regions = viewers().await?;
        if regions["eu"]["viewer_seconds"].as_u64() > Some(1) && regions["us"]["dash"] == 1 {
            break regions;
        }
        ensure!(Instant::now() < deadline, "not counted: {regions:#}");
        // Edges report every second, and the API has no news of it.
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    ensure!(regions["us"]["hls"] == 0 && regions["us"]["qoe"]["buffer_ms"]["total"] == 1500, "{regions:#}");
    ensure!(regions["eu"]["bytes"].as_u64() > Some(100_000), "{regions:#}");
    Ok(())
}

/// A token for a viewer of `demo`.
async fn token(admin: &Admin, subject: &str) -> Result<String> {
    let body = json!({ "subject": subject, "expires_in": 600 });
    let reply = admin.send(Method::POST, "/channels/demo/tokens", &body).await?.expect(201)?;
    let made: Value = serde_json::from_slice(&reply.body)?;
    Ok(made["token"].as_str().context("no token")?.to_owned())
}

/// Seconds until `path` is answered with `status`, and the answer's text.
async fn until(client: &Client, path: &str, status: u16) -> Result<(f64, String)> {
    let start = Instant::now();
    loop {
        let reply = client.get(path).await?;
        if reply.status.as_u16() == status {
            return Ok((start.elapsed().as_secs_f64(), reply.text()?.to_owned()));
        }
        ensure!(start.elapsed() < Duration::from_secs(20), "{path} is still answered {}", reply.status);
        // As a player would: an edge tells nobody that it has heard of a change.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// FFmpeg plays two seconds of it.
async fn plays(edge: SocketAddr, token: &str) -> Result<()> {
    let url = format!("http://{edge}/~{token}{INDEX}");
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-i", &url, "-t", "2", "-map", "0:v:0", "-f", "null", "-"]);
    let output = command.output().await.context("running ffmpeg")?;
    ensure!(output.status.success(), "ffmpeg: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
