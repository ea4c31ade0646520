//! Tokens, their scopes and channels, and the audit log.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::world;
use crate::access::{Grant, Scope};
use crate::testing::{ADMIN, NODE, World};

/// A new token.
async fn token(world: &World, body: Value) -> String {
    let made = world.post("/api-tokens", body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
    assert_eq!(made.headers["cache-control"], "no-store");
    made.json()["token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn every_operation_takes_the_scopes_that_the_document_says_and_no_others() {
    let (world, _directory) = world().await;
    let document = world.get("/openapi.json").await.json();
    let names = ["admin", "operator", "publisher", "moderator", "read-only"];
    let mut tokens = Vec::new();
    for name in names {
        let scope: Scope = serde_json::from_value(json!(name)).unwrap();
        tokens.push((
            Grant { scopes: vec![scope], channels: Vec::new() },
            token(&world, json!({ "scopes": [name] })).await,
        ));
    }
    let mut tried = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let security = operation["security"].as_array().unwrap();
            if security.iter().any(|one| one == &json!({})) {
                continue;
            }
            let needs = security.iter().find_map(|one| one.get("token")).unwrap();
            // Nothing is needed for what concerns only the caller.
            let Some(needs) = needs.get(0) else { continue };
            let needs: Scope = serde_json::from_value(needs.clone()).unwrap();
            // Nothing is there by these names, and the bodies fit nothing: only the door is tried.
            let path = path.replace('{', "no-").replace('}', "").replace("no-purge", "7");
            for (grant, token) in &tokens {
                let method: Method = method.to_uppercase().parse().unwrap();
                let answer = world.send(method.clone(), &path, token, "[]").await;
                let refused = answer.status == StatusCode::FORBIDDEN;
                assert_ne!(answer.status, StatusCode::UNAUTHORIZED, "{method} {path}");
                // What moderators do is looked at after the body, which says for which channel.
                let by_body = path.ends_with("/revocations") && method == Method::POST;
                if !by_body {
                    assert_eq!(!refused, grant.has(needs), "{method} {path} {grant:?}: {}", answer.text());
                }
                assert!(!refused || answer.problem().detail.contains("scope"), "{}", answer.text());
                tried += 1;
            }
        }
    }
    assert!(tried > 150, "{tried}");
    let away = json!({ "subject": "bert" });
    for (grant, token) in &tokens {
        let answer = world.send(Method::POST, "/api/v1/revocations", token, away.to_string()).await;
        assert_eq!(answer.status == StatusCode::CREATED, grant.has(Scope::Moderator), "{grant:?}");
    }
}

#[tokio::test]
async fn a_token_for_a_channel_opens_that_and_nothing_else() {
    let (world, _directory) = world().await;
    for id in ["demo", "other"] {
        world.post("/channels", json!({ "id": id })).await;
    }
    let token =
        token(&world, json!({ "scopes": ["publisher", "moderator"], "channels": ["demo", "demo"] })).await;
    let send = async |method: &Method, path: &str, body: Value| {
        world.send(method.clone(), &format!("/api/v1{path}"), &token, body.to_string()).await
    };
    let (get, post, patch, delete) = (Method::GET, Method::POST, Method::PATCH, Method::DELETE);
    assert_eq!(send(&get, "/channels", json!({})).await.json()["channels"].as_array().unwrap().len(), 1);
    let renamed = send(&patch, "/channels/demo", json!({ "title": "Mine" })).await;
    assert_eq!(renamed.json()["title"], "Mine");
    assert_eq!(send(&post, "/channels/demo/keys", json!({})).await.status, StatusCode::CREATED);
    let kick = send(&post, "/revocations", json!({ "subject": "bert", "channel": "demo" })).await;
    assert_eq!(kick.status, StatusCode::CREATED);
    world.post("/revocations", json!({ "subject": "anna" })).await;
    assert_eq!(
        send(&get, "/revocations", json!({})).await.json()["revocations"].as_array().unwrap().len(),
        1
    );
    for (method, path, body) in [
        (&get, "/channels/other", json!({})),
        (&post, "/channels/other/keys", json!({})),
        (&post, "/channels", json!({ "id": "third" })),
        (&delete, "/channels/other", json!({})),
        (&post, "/revocations", json!({ "subject": "bert" })),
        (&post, "/revocations", json!({ "subject": "bert", "channel": "other" })),
        (&get, "/nodes", json!({})),
    ] {
        let answer = send(method, path, body).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{method} {path}: {}", answer.text());
        assert!(answer.problem().detail.contains("/api/v1/channels/demo"), "{}", answer.text());
    }
    // Once in a minute, whatever it asks for.
    let refused = world.get("/audit?action=refused").await.json();
    let [refused] = refused["entries"].as_array().unwrap().as_slice() else { panic!("{refused}") };
    assert_eq!(refused["target"], "GET channels/other");
    assert!(refused["actor"].as_str().unwrap().starts_with("token:"));
    assert!(refused["after"]["why"].as_str().unwrap().contains("only for"));
    // Both were made in one millisecond, perhaps.
    let all = world.get("/revocations").await.json()["revocations"].as_array().unwrap().clone();
    let anna = all.iter().find(|one| one["subject"] == "anna").unwrap()["id"].as_str().unwrap();
    assert_eq!(send(&delete, &format!("/revocations/{anna}"), json!({})).await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_token_that_is_over_or_taken_away_opens_nothing() {
    let (world, directory) = world().await;
    let token = token(&world, json!({ "scopes": ["read-only"], "label": "dashboard" })).await;
    let status = async |token: &str| world.send(Method::GET, "/api/v1/nodes", token, "").await.status;
    assert_eq!(status(&token).await, StatusCode::OK);
    let listed = world.get("/api-tokens").await;
    assert!(!listed.text().contains(&token), "it is shown once");
    for file in std::fs::read_dir(directory.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(token.len()).any(|window| window == token.as_bytes()), "the token is on disk");
    }
    let id = listed.json()["tokens"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(world.delete(&format!("/api-tokens/{id}")).await.status, StatusCode::NO_CONTENT);
    assert_eq!(status(&token).await, StatusCode::UNAUTHORIZED);
    assert_eq!(world.delete(&format!("/api-tokens/{id}")).await.status, StatusCode::NOT_FOUND);

    let short = self::token(&world, json!({ "scopes": ["read-only"], "expires_in": 1 })).await;
    let expires = world.get("/api-tokens").await.json()["tokens"][0]["expires_at"].as_u64().unwrap();
    let now = || {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        u64::try_from(since.as_millis()).unwrap()
    };
    let left = expires.saturating_sub(now());
    // What ends it is the clock, and there is no event to wait for.
    tokio::time::sleep(std::time::Duration::from_millis(left + 1)).await;
    assert_eq!(status(&short).await, StatusCode::UNAUTHORIZED);
    let refused = world.get("/audit?action=refused").await.json();
    assert_eq!(
        refused["entries"].as_array().unwrap().len(),
        1,
        "the one that is over, not the one that is unknown"
    );

    for (body, says) in [
        (json!({ "scopes": [] }), "at least one"),
        (json!({ "scopes": ["root"] }), "root"),
        (json!({ "scopes": ["admin"], "expires_in": 0 }), "expires_in"),
        (json!({ "scopes": ["admin"], "channels": ["A B"] }), "channels"),
        (json!({ "scopes": ["admin"], "label": "x".repeat(101) }), "label"),
    ] {
        let answer = world.post("/api-tokens", body).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(answer.problem().detail.contains(says), "{}", answer.text());
    }
}

#[tokio::test]
async fn every_change_is_in_the_log_with_who_and_what_but_no_secret() {
    let (world, _directory) = world().await;
    world.populate().await;
    let token = token(&world, json!({ "scopes": ["operator"], "label": "Anna" })).await;
    let send = async |method: Method, path: &str, body: Value| {
        let answer = world.send(method, &format!("/api/v1{path}"), &token, body.to_string()).await;
        assert!(answer.status.is_success(), "{path}: {}", answer.text());
        answer
    };
    send(Method::POST, "/channels", json!({ "id": "demo", "title": "Demo" })).await;
    send(Method::PATCH, "/channels/demo", json!({ "title": "New", "settings": { "record": true } })).await;
    let key = send(Method::POST, "/channels/demo/keys", json!({ "label": "OBS" })).await.json();
    let playback = send(Method::POST, "/channels/demo/tokens", json!({ "subject": "bert" })).await.json();
    send(Method::DELETE, &format!("/channels/demo/keys/{}", key["id"].as_str().unwrap()), json!({})).await;
    let away = send(Method::POST, "/revocations", json!({ "subject": "bert" })).await.json();
    send(Method::DELETE, &format!("/revocations/{}", away["id"].as_str().unwrap()), json!({})).await;
    send(Method::POST, "/purges?wait=0", json!({ "tag": "news" })).await;
    send(Method::POST, "/nodes/eu-1/drain", json!({})).await;
    send(Method::POST, "/nodes/eu-1/undrain", json!({})).await;
    send(Method::DELETE, "/nodes/eu-1", json!({})).await;
    send(Method::DELETE, "/channels/demo", json!({})).await;
    // What fails changes nothing, and is no change.
    assert_eq!(world.delete("/channels/demo").await.status, StatusCode::NOT_FOUND);
    assert_eq!(world.delete("/nodes/none").await.status, StatusCode::NOT_FOUND);

    let log = world.get("/audit").await.json();
    let entries: Vec<&Value> = log["entries"].as_array().unwrap().iter().rev().collect();
    let said: Vec<_> = entries.iter().map(|entry| entry["action"].as_str().unwrap()).collect();
    let expected = [
        "createPlaybackKey",
        "createApiToken",
        "createChannel",
        "changeChannel",
        "createStreamKey",
        "createPlaybackToken",
        "deleteStreamKey",
        "createRevocation",
        "deleteRevocation",
        "createPurge",
        "drainNode",
        "undrainNode",
        "forgetNode",
        "deleteChannel",
        "createPurge",
    ];
    assert_eq!(said, expected);
    assert_eq!(entries[0]["actor"], "nearcast-control");
    assert_eq!((&entries[1]["actor"], &entries[1]["address"]), (&json!("admin-token"), &json!("127.0.0.1")));
    assert!(entries[2..].iter().all(|entry| entry["actor"].as_str().unwrap().starts_with("token:")));
    let changed = entries[3];
    assert_eq!((&changed["before"]["title"], &changed["after"]["title"]), (&json!("Demo"), &json!("New")));
    assert_eq!(
        (&changed["target"], &changed["after"]["settings"]["record"]),
        (&json!("channels/demo"), &json!(true))
    );
    for secret in [&key["key"], &playback["token"], &json!(token), &json!(ADMIN), &json!(NODE)] {
        assert!(!log.to_string().contains(secret.as_str().unwrap()), "a secret is in the log");
    }

    let first = world.get("/audit?target=channels/demo&limit=2").await.json();
    let next = first["next"].as_u64().unwrap();
    assert_eq!(first["entries"][0]["action"], "deleteChannel");
    let rest =
        world.get(&format!("/audit?target=channels/demo&before={next}&action=createChannel")).await.json();
    assert_eq!((rest["entries"].as_array().unwrap().len(), rest.get("next")), (1, None));
    let exported = world.get("/audit/export").await;
    assert_eq!(exported.headers["content-type"], "application/x-ndjson");
    let lines: Vec<Value> = exported.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.iter().collect::<Vec<_>>(), entries);
    let since = lines[9]["id"].as_u64().unwrap();
    assert_eq!(
        world.get(&format!("/audit/export?after={since}")).await.text().lines().count(),
        lines.len() - 10
    );
}

#[tokio::test]
async fn old_lines_of_the_log_are_removed_and_that_is_in_the_log() {
    let directory = tempfile::tempdir().unwrap();
    let database = crate::store::Database::Sqlite(directory.path().join("control.db"));
    let store = crate::store::Store::open(&database).await.unwrap();
    for at in [1, 2] {
        let change = store.change(&crate::access::Actor::own(), "test", "all", at).await.unwrap();
        change.commit().await.unwrap();
    }
    let open = async |store| {
        crate::plane::Plane::open(
            Default::default(),
            Default::default(),
            &Default::default(),
            "nearcast.test".into(),
            store,
        )
        .await
        .unwrap()
    };
    let plane = open(store).await;
    let year = std::time::Duration::from_secs(365 * 24 * 3600);
    // Twice, as on two instances.
    plane.forget_audit(year).await.unwrap();
    plane.forget_audit(year).await.unwrap();
    let world = World::start(directory.path()).await;
    let log = world.get("/audit").await.json();
    let actions: Vec<_> = log["entries"].as_array().unwrap().iter().map(|entry| &entry["action"]).collect();
    assert_eq!(actions, ["removeAudit", "createPlaybackKey"]);
    let removed = &log["entries"][0];
    assert_eq!((&removed["actor"], &removed["target"]), (&json!("nearcast-control"), &json!("audit")));
    assert_eq!(removed["before"], json!({ "lines": 2, "up_to": 2 }));
}
