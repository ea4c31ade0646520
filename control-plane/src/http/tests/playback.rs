//! Playback keys, tokens, and viewers who are sent away.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{DecodingKey, EncodingKey, Header, Validation};
use nearcast_api::playback::{Algorithm, Claims};

use super::*;

/// What an edge does with a token, by the snapshot alone.
fn verify(snapshot: &Snapshot, token: &str) -> Claims {
    let kid = jsonwebtoken::decode_header(token).unwrap().kid.unwrap();
    let key = &snapshot.playback_keys[&kid];
    let (algorithm, decoding) = match key.algorithm {
        Algorithm::EdDsa => {
            (jsonwebtoken::Algorithm::EdDSA, DecodingKey::from_ed_components(&key.key).unwrap())
        }
        Algorithm::Hs256 => {
            let secret = URL_SAFE_NO_PAD.decode(&key.key).unwrap();
            (jsonwebtoken::Algorithm::HS256, DecodingKey::from_secret(&secret))
        }
    };
    jsonwebtoken::decode::<Claims>(token, &decoding, &Validation::new(algorithm)).unwrap().claims
}

#[tokio::test]
async fn a_token_can_be_made_from_the_start_and_is_verified_by_the_snapshot() {
    let (world, _directory) = world().await;
    world.post("/channels", json!({ "id": "demo" })).await;
    let body =
        json!({ "subject": "anna", "sessions": 2, "networks": ["198.51.100.0/24"], "countries": ["DE"] });
    let made = world.post("/channels/demo/tokens", body).await;
    assert_eq!(
        (made.status, &made.headers["cache-control"]),
        (StatusCode::CREATED, &"no-store".parse().unwrap())
    );
    let (made, token) = (made.json(), made.json()["token"].as_str().unwrap().to_owned());
    assert_eq!(made["path"], format!("/~{token}/live/demo/index.m3u8"));
    let claims = verify(&snapshot(&world.get("/snapshot").await), &token);
    assert_eq!((claims.sub.as_deref(), claims.sessions), (Some("anna"), Some(2)));
    assert_eq!((claims.channels, claims.jti.as_deref()), (vec!["demo".to_owned()], made["id"].as_str()));
    assert_eq!(claims.exp * 1000, made["expires_at"].as_u64().unwrap());

    for (body, says) in [
        (json!({ "expires_in": 0 }), "expires_in"),
        (json!({ "sessions": 0 }), "sessions"),
        (json!({ "countries": ["de"] }), "capital letters"),
        (json!({ "networks": ["home"] }), "networks"),
        (json!({ "subject": "a\nb" }), "subject"),
    ] {
        let refused = world.post("/channels/demo/tokens", body).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.text());
        assert!(refused.problem().detail.contains(says), "{says}: {}", refused.problem().detail);
    }
    assert_eq!(world.post("/channels/none/tokens", json!({})).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn keys_are_rotated_and_only_what_verifies_leaves_the_control_plane_again() {
    let (world, _directory) = world().await;
    world.post("/channels", json!({ "id": "demo" })).await;
    let first = world.get("/playback-keys").await.json()["keys"][0].clone();
    let made = world.send(Method::POST, "/api/v1/playback-keys", ADMIN, "").await.json();
    let pem = made["signing_key"].as_str().unwrap();
    // A program of the operator's signs with it.
    let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let der = base64::engine::general_purpose::STANDARD.decode(body).unwrap();
    let header =
        Header { kid: made["id"].as_str().map(str::to_owned), ..Header::new(jsonwebtoken::Algorithm::EdDSA) };
    let claims = json!({ "exp": 4_000_000_000_u64, "channels": ["demo"] });
    let token = jsonwebtoken::encode(&header, &claims, &EncodingKey::from_ed_der(&der)).unwrap();
    verify(&snapshot(&world.get("/snapshot").await), &token);
    let listed = world.get("/playback-keys").await.text().to_owned();
    assert!(listed.contains(made["public_key"].as_str().unwrap()) && !listed.contains("signing_key"));

    let path = format!("/playback-keys/{}", first["id"].as_str().unwrap());
    assert_eq!(world.delete(&path).await.status, StatusCode::NO_CONTENT);
    assert_eq!(world.delete(&path).await.status, StatusCode::NOT_FOUND);
    let snapshot = snapshot(&world.get("/snapshot").await);
    assert_eq!(snapshot.playback_keys.keys().collect::<Vec<_>>(), [made["id"].as_str().unwrap()]);
    // New tokens are signed with what is left.
    let token = world.post("/channels/demo/tokens", json!({})).await.json()["token"].clone();
    verify(&snapshot, token.as_str().unwrap());
}

#[tokio::test]
async fn a_key_of_the_operators_own_is_checked_and_can_be_for_some_channels_only() {
    let (world, _directory) = world().await;
    for id in ["demo", "other"] {
        world.post("/channels", json!({ "id": id })).await;
    }
    let own = world.get("/playback-keys").await.json()["keys"][0]["id"].as_str().unwrap().to_owned();
    world.delete(&format!("/playback-keys/{own}")).await;
    let secret = URL_SAFE_NO_PAD.encode([7; 32]);
    let body = json!({ "algorithm": "HS256", "key": secret, "channels": ["demo"] });
    let made = world.post("/playback-keys", body).await;
    assert_eq!((made.status, &made.json()["signing_key"]), (StatusCode::CREATED, &Value::Null));
    assert!(!world.get("/playback-keys").await.text().contains(&secret));
    let token = world.post("/channels/demo/tokens", json!({})).await.json()["token"].clone();
    verify(&snapshot(&world.get("/snapshot").await), token.as_str().unwrap());
    let refused = world.post("/channels/other/tokens", json!({})).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    assert!(refused.problem().detail.contains("playback-keys"));

    for (body, says) in [
        (json!({ "key": "c2hvcnQ" }), "32 bytes"),
        (json!({ "key": "no base64!" }), "base64url"),
        (json!({ "algorithm": "HS256", "key": "c2hvcnQ" }), "32 to 512"),
        (json!({ "algorithm": "RS256" }), "RS256"),
    ] {
        let refused = world.post("/playback-keys", body).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(refused.problem().detail.contains(says), "{}", refused.problem().detail);
    }
}

#[tokio::test]
async fn viewers_are_sent_away_and_let_in_again() {
    let (world, _directory) = world().await;
    let made = world.post("/revocations", json!({ "subject": "anna", "seconds": 60 })).await;
    assert_eq!(made.status, StatusCode::CREATED);
    let id = made.json()["id"].as_str().unwrap().to_owned();
    let known = snapshot(&world.get("/snapshot").await).revocations;
    assert_eq!(known[&id].subject.as_deref(), Some("anna"));
    assert_eq!(world.get("/revocations").await.json()["revocations"][0]["subject"], "anna");
    assert_eq!(world.delete(&format!("/revocations/{id}")).await.status, StatusCode::NO_CONTENT);
    assert!(snapshot(&world.get("/snapshot").await).revocations.is_empty());
    for (body, says) in [
        (json!({ "channel": "demo" }), "everybody"),
        (json!({ "subject": "" }), "subject"),
        (json!({ "network": "nowhere" }), "network"),
        (json!({ "token": "t", "seconds": 0 }), "seconds"),
    ] {
        let refused = world.post("/revocations", body).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.text());
        assert!(refused.problem().detail.contains(says), "{}", refused.problem().detail);
    }
}

#[tokio::test]
async fn a_channels_rules_are_settings_and_reach_the_nodes() {
    let (world, _directory) = world().await;
    world.post("/channels", json!({ "id": "demo" })).await;
    let change = |playback: Value| json!({ "settings": { "playback": playback } }).to_string();
    let patch =
        async |playback| world.send(Method::PATCH, "/api/v1/channels/demo", ADMIN, change(playback)).await;
    assert_eq!(patch(json!({ "token": true, "countries": ["DE"] })).await.status, StatusCode::OK);
    let rule = snapshot(&world.get("/snapshot").await).channels["demo"].settings.playback.clone().unwrap();
    assert!(rule.needs_token() && rule.asks_country());
    for wrong in [json!({ "countries": [] }), json!({ "countries": ["Germany"] }), json!({ "tokens": true })]
    {
        assert_eq!(patch(wrong).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    }
}

#[tokio::test]
async fn viewers_are_added_up_by_channel_and_region() {
    let (world, _directory) = world().await;
    world.populate().await;
    let audience = |hls: u32, buffer: u64| {
        json!({ "load": { "cpu": 0.1, "viewers": hls, "egress_bps": 0 }, "audience": [{
            "channel": "demo", "hls": hls, "dash": 1, "viewer_seconds": 10, "bytes": 1000,
            "qoe": { "reports": 1, "buffer_ms": { "count": 1, "total": buffer } } }] })
    };
    for (node, hls, buffer) in [("eu-1", 3, 2000), ("us-1", 4, 4000)] {
        let path = format!("/api/v1/nodes/{node}/heartbeat");
        let sent = world.send(Method::POST, &path, NODE, audience(hls, buffer).to_string()).await;
        assert_eq!(sent.status, StatusCode::OK, "{}", sent.text());
    }
    let all = world.get("/viewers").await.json();
    assert_eq!((&all["viewers"], &all["channels"]["demo"]["viewers"]), (&json!(9), &json!(9)));
    let eu = &all["channels"]["demo"]["regions"]["eu"];
    assert_eq!(
        (&eu["hls"], &eu["dash"], &eu["qoe"]["buffer_ms"]["total"]),
        (&json!(3), &json!(1), &json!(2000))
    );
}
