//! Users: made, changed, deleted, and what that means for who is signed in.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::world;
use crate::testing::{ADMIN, World};

pub(super) const PASSWORD: &str = "three plain words";

/// A new user, and the token of a session of theirs.
pub(super) async fn signed_in(world: &World, id: &str, scopes: Value) -> String {
    let made = world.post("/users", json!({ "id": id, "scopes": scopes, "password": PASSWORD })).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
    sign_in(world, id, PASSWORD).await
}

pub(super) async fn sign_in(world: &World, id: &str, password: &str) -> String {
    let began = try_to_sign_in(world, id, password).await;
    assert_eq!(began.status, StatusCode::CREATED, "{}", began.text());
    began.json()["token"].as_str().unwrap().to_owned()
}

pub(super) async fn try_to_sign_in(world: &World, id: &str, password: &str) -> crate::testing::Answer {
    let body = json!({ "user": id, "password": password }).to_string();
    world.send(Method::POST, "/api/v1/sessions", "", body).await
}

pub(super) async fn ask(
    world: &World,
    method: Method,
    path: &str,
    token: &str,
    body: Value,
) -> crate::testing::Answer {
    world.send(method, &format!("/api/v1{path}"), token, body.to_string()).await
}

#[tokio::test]
async fn a_user_is_made_shown_changed_and_deleted() {
    let (world, directory) = world().await;
    let new = json!({ "id": "anna", "name": "Anna L.", "scopes": ["publisher", "publisher"], "channels": ["demo"], "password": PASSWORD });
    let made = world.post("/users", new.clone()).await;
    assert_eq!(
        (made.status, made.headers["location"].to_str().unwrap()),
        (StatusCode::CREATED, "/api/v1/users/anna")
    );
    let shown = made.json();
    assert_eq!(
        (&shown["scopes"], &shown["has_password"], &shown["disabled"]),
        (&json!(["publisher"]), &json!(true), &json!(false))
    );
    assert_eq!(world.post("/users", new).await.status, StatusCode::CONFLICT);
    assert_eq!(world.get("/users").await.json()["users"], json!([shown]));

    let seen = made.headers["etag"].to_str().unwrap();
    let patch = async |tag: &str, body: Value| {
        world
            .send_with(Method::PATCH, "/api/v1/users/anna", ADMIN, &[("if-match", tag)], body.to_string())
            .await
    };
    let changed = patch(seen, json!({ "scopes": ["moderator"], "subject": "s-1" })).await;
    assert_eq!(changed.status, StatusCode::OK, "{}", changed.text());
    assert_eq!((&changed.json()["channels"], &changed.json()["subject"]), (&json!(["demo"]), &json!("s-1")));
    let late = patch(seen, json!({ "name": "x" })).await;
    assert_eq!(late.status, StatusCode::PRECONDITION_FAILED);
    assert!(late.problem().detail.contains("user anna has changed"), "{}", late.text());
    let gone = patch("*", json!({ "subject": null, "channels": [] })).await.json();
    assert_eq!(
        (gone.get("subject"), gone.get("channels"), &gone["scopes"]),
        (None, None, &json!(["moderator"]))
    );

    for file in std::fs::read_dir(directory.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(
            !bytes.windows(PASSWORD.len()).any(|window| window == PASSWORD.as_bytes()),
            "the password is on disk"
        );
    }
    assert_eq!(world.delete("/users/anna").await.status, StatusCode::NO_CONTENT);
    assert_eq!(world.get("/users/anna").await.status, StatusCode::NOT_FOUND);
    let log = world.get("/audit").await.text();
    for action in ["createUser", "changeUser", "deleteUser"] {
        assert!(log.contains(action), "{action}");
    }
    assert!(!log.contains(PASSWORD) && !log.contains("argon2"), "a secret is in the log");
}

#[tokio::test]
async fn what_cannot_be_a_user_is_refused_with_a_reason() {
    let (world, _directory) = world().await;
    world.post("/users", json!({ "id": "taken", "scopes": ["admin"], "subject": "s-1" })).await;
    let with = |field: &str, value: Value| {
        let mut user = json!({ "id": "anna", "scopes": ["read-only"] });
        user[field] = value;
        user.to_string()
    };
    let long = "x".repeat(70_000);
    let (post, patch, put) = (Method::POST, Method::PATCH, Method::PUT);
    for (method, path, body, status, says) in [
        (&post, "/users", with("id", json!("Anna")), 422, "a-z"),
        (&post, "/users", with("scopes", json!([])), 422, "at least one"),
        (&post, "/users", with("scopes", json!(["root"])), 422, "root"),
        (&post, "/users", with("name", json!("a\nb")), 422, "name"),
        (&post, "/users", with("password", json!("short")), 422, "12 to 256"),
        (&post, "/users", with("password", json!("password1234")), 422, "first"),
        (&post, "/users", with("password", json!(5)), 422, "password"),
        (&post, "/users", with("subject", json!("")), 422, "subject"),
        (&post, "/users", with("subject", json!("s-1")), 409, "subject"),
        (&post, "/users", with("pasword", json!("x")), 422, "pasword"),
        (&post, "/users", with("name", json!(long)), 413, "65536"),
        (&post, "/users", "{".into(), 400, "EOF"),
        (&patch, "/users/none", "{}".into(), 404, "GET /api/v1/users"),
        (&patch, "/users/taken", r#"{"channels":["A B"]}"#.into(), 422, "channels"),
        (&patch, "/users/Not-A-Name", "{}".into(), 400, "a-z"),
        (&put, "/users/none/password", json!({ "password": PASSWORD }).to_string(), 404, "none"),
        (&put, "/users/taken/password", json!({ "password": "takentakentaken" }).to_string(), 204, ""),
        (&put, "/users/taken/password", "{}".into(), 422, "password"),
        (&post, "/sessions", "{}".into(), 422, "user"),
        (&post, "/sessions", "nonsense".into(), 400, "body"),
        (&post, "/sessions", json!({ "user": "x", "password": long }).to_string(), 413, "65536"),
        (&post, "/sessions", json!({ "user": "Not A Name", "password": "x" }).to_string(), 401, "wrong"),
        (
            &post,
            "/sessions",
            json!({ "user": "taken", "password": "x".repeat(1000) }).to_string(),
            401,
            "wrong",
        ),
    ] {
        let answer = world.send(method.clone(), &format!("/api/v1{path}"), ADMIN, body).await;
        assert_eq!(answer.status.as_u16(), status, "{method} {path}: {}", answer.text());
        if status != 204 {
            assert!(answer.problem().detail.contains(says), "{method} {path}: {}", answer.text());
        }
    }
}

#[tokio::test]
async fn what_a_user_may_do_is_what_they_may_do_now() {
    let (world, _directory) = world().await;
    let token = signed_in(&world, "anna", json!(["read-only"])).await;
    let make = async || ask(&world, Method::POST, "/channels", &token, json!({ "id": "demo" })).await;
    let refused = make().await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert!(refused.problem().detail.contains("scope publisher"), "{}", refused.text());
    ask(&world, Method::PATCH, "/users/anna", ADMIN, json!({ "scopes": ["publisher"] })).await;
    assert_eq!(make().await.status, StatusCode::CREATED);
    let log = world.get("/audit?actor=user:anna").await.json();
    let said: Vec<_> = log["entries"].as_array().unwrap().iter().map(|entry| &entry["action"]).collect();
    assert_eq!(said, ["createChannel", "refused", "signIn"]);
}

#[tokio::test]
async fn who_is_disabled_deleted_or_has_a_new_password_is_out_with_the_next_call() {
    let (world, _directory) = world().await;
    let status = async |token: &str| ask(&world, Method::GET, "/me", token, json!({})).await.status;
    let first = signed_in(&world, "anna", json!(["read-only"])).await;
    let second = sign_in(&world, "anna", PASSWORD).await;
    assert_eq!((status(&first).await, status(&second).await), (StatusCode::OK, StatusCode::OK));

    ask(&world, Method::PATCH, "/users/anna", ADMIN, json!({ "disabled": true })).await;
    assert_eq!(
        (status(&first).await, status(&second).await),
        (StatusCode::UNAUTHORIZED, StatusCode::UNAUTHORIZED)
    );
    let disabled = try_to_sign_in(&world, "anna", PASSWORD).await;
    assert_eq!(disabled.status, StatusCode::FORBIDDEN);
    assert!(disabled.problem().detail.contains("disabled"), "{}", disabled.text());
    // Only who knows the password learns that.
    assert_eq!(try_to_sign_in(&world, "anna", "another password").await.status, StatusCode::UNAUTHORIZED);
    ask(&world, Method::PATCH, "/users/anna", ADMIN, json!({ "disabled": false })).await;

    let third = sign_in(&world, "anna", PASSWORD).await;
    let set = ask(
        &world,
        Method::PUT,
        "/users/anna/password",
        ADMIN,
        json!({ "password": "four other plain words" }),
    )
    .await;
    assert_eq!(set.status, StatusCode::NO_CONTENT, "{}", set.text());
    assert_eq!(status(&third).await, StatusCode::UNAUTHORIZED);
    assert_eq!(try_to_sign_in(&world, "anna", PASSWORD).await.status, StatusCode::UNAUTHORIZED);
    let fourth = sign_in(&world, "anna", "four other plain words").await;
    world.delete("/users/anna").await;
    assert_eq!(status(&fourth).await, StatusCode::UNAUTHORIZED);
    assert_eq!(
        try_to_sign_in(&world, "anna", "four other plain words").await.status,
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test]
async fn users_change_their_own_password_with_the_old_one_and_nobody_elses() {
    let (world, _directory) = world().await;
    let anna = signed_in(&world, "anna", json!(["read-only"])).await;
    signed_in(&world, "bert", json!(["admin"])).await;
    let set = async |user: &str, body: Value| {
        ask(&world, Method::PUT, &format!("/users/{user}/password"), &anna, body).await
    };
    let new = "four other plain words";
    assert_eq!(set("bert", json!({ "password": new })).await.status, StatusCode::FORBIDDEN);
    for old in [json!(null), json!("wrong old password")] {
        let refused = set("anna", json!({ "password": new, "old": old })).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{}", refused.text());
        assert!(refused.problem().detail.contains("`old`"), "{}", refused.text());
    }
    assert_eq!(
        set("anna", json!({ "password": "short", "old": PASSWORD })).await.status,
        StatusCode::UNPROCESSABLE_ENTITY
    );
    assert_eq!(set("anna", json!({ "password": new, "old": PASSWORD })).await.status, StatusCode::NO_CONTENT);
    assert_eq!(ask(&world, Method::GET, "/me", &anna, json!({})).await.status, StatusCode::UNAUTHORIZED);
    sign_in(&world, "anna", new).await;
    let log = world.get("/audit?action=setPassword").await.json();
    assert_eq!(
        (&log["entries"][0]["actor"], &log["entries"][0]["target"]),
        (&json!("user:anna"), &json!("users/anna/password"))
    );
}
