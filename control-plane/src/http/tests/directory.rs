//! What channels say of themselves, categories, and the directory.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::world;
use crate::testing::{ADMIN, Answer, NODE, World};

async fn make(world: &World, channel: Value) {
    let made = world.post("/channels", channel).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
}

async fn patch(world: &World, path: &str, body: Value) -> Answer {
    world.send(Method::PATCH, &format!("/api/v1{path}"), ADMIN, body.to_string()).await
}

/// As anybody asks.
async fn asked(world: &World, path: &str, headers: &[(&str, &str)]) -> Answer {
    let answer = world.send_with(Method::GET, &format!("/api/v1{path}"), "", headers, "").await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    answer
}

async fn found(world: &World, query: &str) -> Vec<String> {
    ids(&asked(world, &format!("/directory{query}"), &[]).await.json())
}

fn ids(list: &Value) -> Vec<String> {
    let channels = list["channels"].as_array().unwrap().iter();
    channels.map(|channel| channel["id"].as_str().unwrap().to_owned()).collect()
}

/// These are live, with so many viewers at both edges together.
async fn live(world: &World, channels: &[(&str, u64)]) {
    let broadcast = |(channel, _): &(&str, u64)| json!({ "channel": channel, "id": "b1", "started_at": 5 });
    let load = json!({ "cpu": 0.5, "viewers": 0, "egress_bps": 0 });
    let told = |share: fn(u64) -> u64| {
        let one = move |(channel, viewers): &(&str, u64)| {
            let countries = match *channel {
                "chess" => json!({ "CL": share(*viewers) }),
                _ => json!({ "CL": 1, "PE": share(*viewers) - 1 }),
            };
            json!({ "channel": channel, "hls": share(*viewers), "dash": 0, "viewer_seconds": 0, "bytes": 0, "qoe": {}, "countries": countries })
        };
        channels.iter().map(one).collect::<Value>()
    };
    for (node, beat) in [
        ("eu-1", json!({ "load": load, "audience": told(|viewers| viewers / 2) })),
        ("us-1", json!({ "load": load, "audience": told(|viewers| viewers - viewers / 2) })),
        // The last one, as what is live is told at once.
        (
            "origin-1",
            json!({ "load": load, "broadcasts": channels.iter().map(broadcast).collect::<Value>() }),
        ),
    ] {
        let path = format!("/api/v1/nodes/{node}/heartbeat");
        let answer = world.send(Method::POST, &path, NODE, beat.to_string()).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    }
}

#[tokio::test]
async fn a_channel_says_what_it_is_about_and_whoever_changes_it_is_in_the_log() {
    let (world, _directory) = world().await;
    let first = json!({ "id": "demo", "owner": "org-7", "description": "One.\nTwo.", "language": "ES-mx",
        "tags": ["Chess ", "chess"], "category": "juegos", "mature": true, "visibility": "unlisted" });
    let made = world.post("/channels", first).await;
    let expected = json!({ "owner": "org-7", "description": "One.\nTwo.", "language": "es-MX", "tags": ["chess"],
        "category": "juegos", "mature": true, "visibility": "unlisted" });
    let shown = made.json();
    for (field, value) in expected.as_object().unwrap() {
        assert_eq!(&shown[field], value, "{field}");
    }
    let changed = patch(&world, "/channels/demo", json!({ "language": null, "mature": false })).await;
    assert_ne!(changed.headers["etag"], made.headers["etag"]);
    let now = changed.json();
    assert_eq!((now.get("language"), &now["mature"], &now["tags"]), (None, &json!(false), &json!(["chess"])));
    assert_eq!(world.get("/channels/demo").await.json(), now);

    let log = world.get("/audit?action=changeChannel").await.json();
    let (before, after) = (&log["entries"][0]["before"], &log["entries"][0]["after"]);
    assert_eq!((&before["language"], after.get("language")), (&json!("es-MX"), None));
    assert_eq!(
        (&before["mature"], &after["mature"], &after["owner"]),
        (&json!(true), &json!(false), &json!("org-7"))
    );

    for (body, says) in [
        (json!({ "language": "english" }), "es-MX"),
        (json!({ "category": "none" }), "/api/v1/categories"),
        (json!({ "visibility": "private" }), "visibility"),
        (json!({ "owner": "x".repeat(65) }), "owner: at most 64"),
        (json!({ "tags": ["x".repeat(33)] }), "tags: at most 32"),
        (json!({ "tags": "chess" }), "tags"),
        (json!({ "langauge": "es" }), "langauge"),
    ] {
        let answer = patch(&world, "/channels/demo", body).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(answer.problem().detail.contains(says), "{}", answer.text());
    }
    assert_eq!(world.get("/channels/demo").await.json(), now, "a change that fails changes nothing");
}

#[tokio::test]
async fn categories_are_named_in_the_callers_language_and_changed_by_operators() {
    let (world, _directory) = world().await;
    let list = asked(&world, "/categories", &[]).await;
    assert_eq!(list.headers["access-control-allow-origin"], "*");
    let list = list.json();
    let names = list["categories"].as_array().unwrap();
    let names: Vec<&str> = names.iter().map(|category| category["name"].as_str().unwrap()).collect();
    let expected = [
        "Art",
        "Causes",
        "Crafts",
        "Dance",
        "Drinks",
        "Film",
        "Fitness",
        "Food",
        "Gardening",
        "Health",
        "Home",
        "Juegos",
        "Literature",
        "Music",
        "Networking",
        "Other",
        "Party",
        "Religion",
        "Shopping",
        "Sports",
        "Theater",
        "Wellness",
    ];
    assert_eq!(names, expected);
    let dance = async |query: &str, header: &str| {
        let list = asked(&world, &format!("/categories{query}"), &[("accept-language", header)]).await.json();
        let name = &list["categories"][3];
        (name["name"].as_str().unwrap().to_owned(), name["language"].as_str().unwrap().to_owned())
    };
    assert_eq!(dance("", "de-CH, en;q=0.5").await, ("Tanz".into(), "de".into()));
    assert_eq!(dance("?language=pt-BR", "de").await, ("Dança".into(), "pt".into()));
    assert_eq!(dance("?language=ja", "fr").await, ("Danse".into(), "fr".into()));
    assert_eq!(dance("?language=ja", "").await, ("Dance".into(), "en".into()));

    let made =
        world.post("/categories", json!({ "id": "chess", "names": { "en": "Chess", "de": "Schach" } })).await;
    assert_eq!(
        (made.status, &made.headers["location"]),
        (StatusCode::CREATED, &"/api/v1/categories/chess".parse().unwrap())
    );
    let again = world.post("/categories", json!({ "id": "chess", "names": { "en": "Chess" } })).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    let changed =
        patch(&world, "/categories/chess", json!({ "names": { "de": null, "fr": "Échecs" } })).await;
    assert_eq!(changed.json()["names"], json!({ "en": "Chess", "fr": "Échecs" }));

    make(&world, json!({ "id": "demo", "category": "chess" })).await;
    make(&world, json!({ "id": "second", "category": "chess" })).await;
    let refused = world.delete("/categories/chess").await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    assert!(refused.problem().detail.starts_with("2 channels"), "{}", refused.text());
    patch(&world, "/channels/demo", json!({ "category": "music" })).await;
    world.delete("/channels/second").await;
    assert_eq!(world.delete("/categories/chess").await.status, StatusCode::NO_CONTENT);
    assert_eq!(world.delete("/categories/chess").await.status, StatusCode::NOT_FOUND);

    for (body, says) in [
        (json!({ "id": "A", "names": { "en": "A" } }), "a-z"),
        (json!({ "id": "a", "names": { "de": "A" } }), "`en`"),
        (json!({ "id": "a", "names": { "en": "A", "german": "A" } }), "german"),
    ] {
        let answer = world.post("/categories", body).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(answer.problem().detail.contains(says), "{}", answer.text());
    }
    let log = world.get("/audit?target=categories/chess").await.json();
    let actions: Vec<_> =
        log["entries"].as_array().unwrap().iter().map(|entry| entry["action"].clone()).collect();
    assert_eq!(actions, ["deleteCategory", "changeCategory", "createCategory"]);
}

#[tokio::test]
async fn viewers_find_what_is_live_and_public_those_with_most_viewers_first() {
    let (world, _directory) = world().await;
    world.populate().await;
    for channel in [
        json!({ "id": "chess", "title": "Chess at noon", "language": "es-MX", "tags": ["Chess"], "category": "juegos" }),
        json!({ "id": "cooking", "description": "Mole, slowly" }),
        json!({ "id": "hidden", "visibility": "unlisted" }),
        json!({ "id": "late", "mature": true }),
        json!({ "id": "quiet", "title": "Chess by letter" }),
    ] {
        make(&world, channel).await;
    }
    live(&world, &[("chess", 3), ("cooking", 8), ("hidden", 9), ("late", 7)]).await;
    let answer = asked(&world, "/directory", &[("accept-language", "de")]).await;
    assert_eq!(answer.headers["cache-control"], "public, max-age=5");
    assert_eq!(
        (&answer.headers["vary"], &answer.headers["access-control-allow-origin"]),
        (&"accept-language".parse().unwrap(), &"*".parse().unwrap())
    );
    let list = answer.json();
    assert_eq!(ids(&list), ["cooking", "chess"]);
    let expected = json!({ "id": "chess", "title": "Chess at noon", "description": "", "language": "es-MX",
        "tags": ["chess"], "category": { "id": "juegos", "name": "Spiele" }, "mature": false,
        "live": { "started_at": 5, "broadcast": "b1" }, "viewers": 3 });
    assert_eq!(list["channels"][1], expected);

    for (query, expected) in [
        ("?mature=true", vec!["cooking", "late", "chess"]),
        ("?live=false", vec!["cooking", "chess", "quiet"]),
        ("?category=juegos", vec!["chess"]),
        ("?category=music", vec![]),
        ("?language=es", vec!["chess"]),
        ("?language=es-ES", vec![]),
        ("?tag=CHESS", vec!["chess"]),
        ("?q=chess", vec!["chess"]),
        ("?q=slow", vec!["cooking"]),
        ("?q=slow+mole", vec![]),
        ("?q=mole+slow", vec!["cooking"]),
        ("?q=chess&live=false", vec!["chess", "quiet"]),
        ("?q=%22", vec![]),
        ("?q=", vec!["cooking", "chess"]),
    ] {
        assert_eq!(found(&world, query).await, expected, "{query}");
    }
    // Page by page.
    for query in ["?live=false&mature=true", "?q=chess&live=false"] {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = asked(&world, &format!("/directory{query}&limit=1{cursor}"), &[]).await.json();
            seen.extend(ids(&page));
            let Some(next) = page["next"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(seen, found(&world, query).await, "{query}");
    }

    // By where they are watched: chess in Chile, the others mostly in Peru.
    for (query, expected) in [
        ("?watched_in=CL", json!([["chess", 3], ["cooking", 8]])),
        ("?watched_in=PE", json!([["cooking", 8]])),
        ("?watched_in=BR", json!([])),
        ("?watched_in=CL&q=mole", json!([["cooking", 8]])),
    ] {
        let list = asked(&world, &format!("/directory{query}"), &[]).await.json();
        let channels = list["channels"].as_array().unwrap().iter();
        let seen = channels.map(|one| json!([one["id"], one["viewers"]]));
        assert_eq!(seen.collect::<Value>(), expected, "{query}");
    }
    patch(&world, "/channels/hidden", json!({ "visibility": "public" })).await;
    assert_eq!(found(&world, "").await[0], "hidden");
    world.delete("/channels/hidden").await;
    assert_eq!(found(&world, "").await, ["cooking", "chess"]);

    for (query, status, says) in [
        ("?category=none", 404, "/api/v1/categories"),
        ("?language=_", 400, "language"),
        ("?country=de", 400, "DE"),
        ("?watched_in=Peru", 400, "Peru"),
        ("?cursor=x", 422, "`next`"),
        ("?limit=0", 422, "1 to 500"),
        ("?mature=maybe", 400, "mature"),
        ("?sort=new", 400, "sort"),
    ] {
        let answer = world.send(Method::GET, &format!("/api/v1/directory{query}"), "", "").await;
        let problem = answer.problem();
        assert_eq!(problem.status, status, "{query}: {problem:?}");
        assert!(problem.detail.contains(says), "{query}: {problem:?}");
    }
    let long = format!("/api/v1/directory?q={}", "x".repeat(201));
    assert_eq!(world.send(Method::GET, &long, "", "").await.status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn a_viewer_finds_what_may_be_watched_in_their_country() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::start_with(directory.path(), |config| {
        config.geo.database = concat!(env!("CARGO_MANIFEST_DIR"), "/../geo/testdata/places.mmdb").into();
        config.api.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    })
    .await;
    let only = |field: &str, countries: &[&str]| json!({ "playback": { field: countries } });
    make(&world, json!({ "id": "anywhere" })).await;
    make(&world, json!({ "id": "canada", "settings": only("countries", &["CA"]) })).await;
    make(&world, json!({ "id": "not-canada", "settings": only("blocked_countries", &["CA"]) })).await;
    let from = async |address: &str, query: &str| {
        let path = format!("/directory?live=false{query}");
        let answer = asked(&world, &path, &[("x-forwarded-for", address)]).await;
        (ids(&answer.json()), answer.headers["cache-control"].to_str().unwrap().to_owned())
    };
    let private = "private, max-age=5".to_owned();
    let (canadian, other) = ("203.0.113.200", "8.8.8.8");
    assert_eq!(from(canadian, "").await, (vec!["anywhere".into(), "canada".into()], private.clone()));
    let all = vec!["anywhere".into(), "canada".into(), "not-canada".into()];
    assert_eq!(from(other, "").await, (all, private), "nobody knows where that is");
    let public = "public, max-age=5".to_owned();
    assert_eq!(from(canadian, "&country=DE").await, (vec!["anywhere".into(), "not-canada".into()], public));
}
