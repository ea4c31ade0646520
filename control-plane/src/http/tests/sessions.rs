//! Signing in and out, by header and by cookie, and wrong passwords.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::users::{PASSWORD, ask, sign_in, signed_in, try_to_sign_in};
use super::{instances, world};
use crate::limits;
use crate::testing::{ADMIN, World};

#[tokio::test]
async fn a_session_does_where_a_token_does_and_ends_when_its_user_signs_out() {
    let (world, directory) = world().await;
    let token = signed_in(&world, "anna", json!(["operator"])).await;
    assert!(token.starts_with("ncs_") && token.len() == 36, "{token}");
    assert_eq!(ask(&world, Method::GET, "/nodes", &token, json!({})).await.status, StatusCode::OK);
    let me = ask(&world, Method::GET, "/me", &token, json!({})).await.json();
    assert_eq!(
        (&me["actor"], &me["user"], &me["scopes"]),
        (&json!("user:anna"), &json!("anna"), &json!(["operator"]))
    );
    let hour = 3600 * 1000;
    let listed = ask(&world, Method::GET, "/sessions", &token, json!({})).await;
    let session = &listed.json()["sessions"][0];
    assert_eq!(session["expires_at"].as_u64().unwrap() - session["created_at"].as_u64().unwrap(), 12 * hour);
    assert_eq!((&session["id"], &session["address"]), (&me["session"], &json!("127.0.0.1")));
    assert!(!listed.text().contains(&token));
    assert!(world.get("/users/anna").await.json()["last_login_at"].as_u64().unwrap() > 0);
    for file in std::fs::read_dir(directory.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(token.len()).any(|window| window == token.as_bytes()), "the token is on disk");
    }
    let out = ask(&world, Method::DELETE, "/sessions/current", &token, json!({})).await;
    assert_eq!(out.status, StatusCode::NO_CONTENT);
    assert_eq!(ask(&world, Method::GET, "/nodes", &token, json!({})).await.status, StatusCode::UNAUTHORIZED);
    let none = world.delete("/sessions/current").await;
    assert_eq!(none.status, StatusCode::NOT_FOUND);
    assert!(none.problem().detail.contains("session"), "{}", none.text());

    let me = world.get("/me").await.json();
    assert_eq!((&me["actor"], me.get("user")), (&json!("admin-token"), None));
}

#[tokio::test]
async fn users_see_and_end_their_own_sessions_and_admins_everybodys() {
    let (world, _directory) = world().await;
    let anna = signed_in(&world, "anna", json!(["read-only"])).await;
    let bert = signed_in(&world, "bert", json!(["admin"])).await;
    let seen = async |token: &str, query: &str| {
        let answer = ask(&world, Method::GET, &format!("/sessions{query}"), token, json!({})).await;
        answer.json()["sessions"].as_array().map_or(answer.status.as_u16() as usize, Vec::len)
    };
    assert_eq!(
        (seen(&anna, "").await, seen(&anna, "?user=anna").await, seen(&anna, "?user=bert").await),
        (1, 1, 403)
    );
    assert_eq!(
        (seen(&bert, "").await, seen(&bert, "?user=anna").await, seen(ADMIN, "?limit=1").await),
        (2, 1, 1)
    );
    let id = async |user: &str| {
        let sessions = world.get(&format!("/sessions?user={user}")).await.json();
        sessions["sessions"][0]["id"].as_str().unwrap().to_owned()
    };
    let (annas, berts) = (id("anna").await, id("bert").await);
    let end = async |token: &str, id: &str| {
        ask(&world, Method::DELETE, &format!("/sessions/{id}"), token, json!({})).await.status
    };
    assert_eq!(end(&anna, &berts).await, StatusCode::FORBIDDEN);
    assert_eq!(end(&anna, "none").await, StatusCode::FORBIDDEN);
    assert_eq!(end(&bert, &annas).await, StatusCode::NO_CONTENT);
    assert_eq!(end(&bert, &annas).await, StatusCode::NOT_FOUND);
    assert_eq!(ask(&world, Method::GET, "/me", &anna, json!({})).await.status, StatusCode::UNAUTHORIZED);
    // Of one user twenty, the newest.
    let tokens: Vec<String> =
        futures_util::future::join_all((0..21).map(|_| sign_in(&world, "anna", PASSWORD))).await;
    assert_eq!(seen(ADMIN, "?user=anna").await, 20);
    assert_eq!(tokens.len(), 21);
}

#[tokio::test]
async fn a_session_that_is_over_opens_nothing_and_that_is_in_the_log() {
    let (world, directory) = world().await;
    let token = signed_in(&world, "anna", json!(["admin"])).await;
    // What ends it is the clock, after hours: this is as if they had passed.
    let file = crate::store::Database::Sqlite(directory.path().join("control.db"));
    crate::store::Store::open(&file).await.unwrap().age_sessions().await;
    // The process looks at the store when it changes something.
    world.post("/users", json!({ "id": "bert", "scopes": ["admin"] })).await;
    let over = ask(&world, Method::GET, "/nodes", &token, json!({})).await;
    assert_eq!(over.status, StatusCode::UNAUTHORIZED);
    assert!(over.problem().detail.contains("sign in again"), "{}", over.text());
    let refused = world.get("/audit?action=refused").await.json();
    assert_eq!(
        (&refused["entries"][0]["actor"], &refused["entries"][0]["target"]),
        (&json!("user:anna"), &json!("GET nodes"))
    );
    assert_eq!(world.get("/sessions").await.json()["sessions"], json!([]));
}

#[tokio::test]
async fn pages_have_a_cookie_that_only_they_can_use() {
    let (world, _directory) = world().await;
    signed_in(&world, "anna", json!(["publisher"])).await;
    let body = json!({ "user": "anna", "password": PASSWORD, "cookie": true }).to_string();
    let host = format!("http://{}", world.http());
    let send = async |method: Method, path: &str, headers: &[(&str, &str)], body: &str| {
        world.send_with(method, &format!("/api/v1{path}"), "", headers, body).await
    };
    let own = ("sec-fetch-site", "same-origin");
    let elsewhere = send(Method::POST, "/sessions", &[("origin", "https://evil.example")], &body).await;
    assert_eq!(elsewhere.status, StatusCode::FORBIDDEN);
    let began = send(Method::POST, "/sessions", &[("origin", &host)], &body).await;
    assert_eq!((began.status, began.json().get("token")), (StatusCode::CREATED, None));
    let set = began.headers["set-cookie"].to_str().unwrap().to_owned();
    assert!(set.ends_with("; Path=/api; SameSite=Strict; HttpOnly; Max-Age=43200"), "{set}");
    let cookie = ("cookie", set.split(';').next().unwrap());

    assert_eq!(send(Method::GET, "/channels", &[cookie], "").await.status, StatusCode::OK);
    let make = r#"{"id":"demo"}"#;
    for headers in [
        &[cookie] as &[_],
        &[cookie, ("origin", "https://evil.example")],
        &[cookie, ("sec-fetch-site", "same-site")],
    ] {
        let refused = send(Method::POST, "/channels", headers, make).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{headers:?}");
        assert!(refused.problem().detail.contains("own pages"), "{}", refused.text());
    }
    assert_eq!(send(Method::POST, "/channels", &[cookie, own], make).await.status, StatusCode::CREATED);
    let out = send(Method::DELETE, "/sessions/current", &[cookie, ("origin", &host)], "").await;
    assert!(
        out.headers["set-cookie"].to_str().unwrap().starts_with("nearcast_session=; "),
        "{:?}",
        out.headers
    );
    assert_eq!(send(Method::GET, "/channels", &[cookie], "").await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn the_cookie_is_for_tls_only_where_there_is_tls() {
    let directory = tempfile::tempdir().unwrap();
    let behind =
        |config: &mut crate::Config| config.api.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    let world = World::start_with(directory.path(), behind).await;
    signed_in(&world, "anna", json!(["publisher"])).await;
    let body = json!({ "user": "anna", "password": PASSWORD, "cookie": true }).to_string();
    let headers = [
        ("sec-fetch-site", "same-origin"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-for", "203.0.113.9"),
    ];
    let began = world.send_with(Method::POST, "/api/v1/sessions", "", &headers, body).await;
    assert!(began.headers["set-cookie"].to_str().unwrap().ends_with("; Secure"));
    assert_eq!(began.json()["address"], "203.0.113.9");
}

#[tokio::test]
async fn after_five_wrong_passwords_an_account_waits_whether_there_is_one_or_not() {
    let (world, _directory) = world().await;
    signed_in(&world, "anna", json!(["read-only"])).await;
    let mut answers = Vec::new();
    for name in ["anna", "nobody"] {
        for _ in 0..5 {
            let wrong = try_to_sign_in(&world, name, "a wrong password").await;
            assert_eq!(wrong.status, StatusCode::UNAUTHORIZED, "{}", wrong.text());
            answers.push(wrong.text());
        }
        // The right one neither: or guessing would go on.
        let waits = try_to_sign_in(&world, name, PASSWORD).await;
        assert_eq!(waits.status, StatusCode::TOO_MANY_REQUESTS);
        let seconds: u64 = waits.headers["retry-after"].to_str().unwrap().parse().unwrap();
        assert!((50..=60).contains(&seconds), "{seconds}");
        assert!(waits.problem().detail.contains("too many wrong passwords"), "{}", waits.text());
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "the answers tell who is there: {answers:?}");
    let refused = world.get("/audit?action=refused").await.json();
    let refused = refused["entries"].as_array().unwrap();
    assert_eq!(refused.len(), 2, "once a minute each: {refused:?}");
    assert_eq!((&refused[1]["actor"], &refused[1]["target"]), (&json!("user:anna"), &json!("POST sessions")));
    // An admin helps with a new password.
    ask(&world, Method::PUT, "/users/anna/password", ADMIN, json!({ "password": "four other plain words" }))
        .await;
    sign_in(&world, "anna", "four other plain words").await;
}

#[tokio::test]
async fn an_address_may_send_ten_wrong_passwords_a_minute_and_right_ones_do_not_count() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::start_with(directory.path(), |config| {
        config.api.limits = limits::Config { wrong_passwords: 10, ..limits::Config::none() };
        config.api.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    })
    .await;
    signed_in(&world, "anna", json!(["read-only"])).await;
    for _ in 0..12 {
        sign_in(&world, "anna", PASSWORD).await;
    }
    let from = async |address: &str, name: &str, password: &str| {
        let body = json!({ "user": name, "password": password }).to_string();
        world.send_with(Method::POST, "/api/v1/sessions", "", &[("x-forwarded-for", address)], body).await
    };
    for number in 0..10 {
        let wrong = from("2001:db8::1", &format!("name-{number}"), "a wrong password").await;
        assert_eq!(wrong.status, StatusCode::UNAUTHORIZED);
    }
    let waits = from("2001:db8::2", "anna", PASSWORD).await;
    assert_eq!(waits.status, StatusCode::TOO_MANY_REQUESTS);
    let seconds: u64 = waits.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=6).contains(&seconds), "{seconds}");
    assert_eq!(from("2001:db8:0:1::1", "anna", PASSWORD).await.status, StatusCode::CREATED, "another line");
}

#[tokio::test]
async fn all_instances_know_who_is_signed_in_and_who_has_to_wait() {
    let (a, b, _directories) = instances::two().await;
    let token = signed_in(&a, "anna", json!(["read-only"])).await;
    let until = async |world: &World, status: StatusCode| {
        let asked = async {
            while ask(world, Method::GET, "/me", &token, Value::Null).await.status != status {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(10), asked).await.expect("the other's session");
    };
    until(&b, StatusCode::OK).await;
    ask(&b, Method::PATCH, "/users/anna", ADMIN, json!({ "disabled": true })).await;
    until(&a, StatusCode::UNAUTHORIZED).await;
    ask(&b, Method::PATCH, "/users/anna", ADMIN, json!({ "disabled": false })).await;
    for number in 0..5 {
        let world = if number % 2 == 0 { &a } else { &b };
        assert_eq!(try_to_sign_in(world, "anna", "a wrong password").await.status, StatusCode::UNAUTHORIZED);
    }
    for world in [&a, &b] {
        assert_eq!(try_to_sign_in(world, "anna", PASSWORD).await.status, StatusCode::TOO_MANY_REQUESTS);
    }
}
