//! Signing in by an identity provider, which here is a server that says what each test wants it to. A real one is in the
//! system tests.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use http::{Method, StatusCode};
use nearcast_service::daemon::Daemon;
use nearcast_service::http::{Body, Config, Request, Response, Server, read_limited};
use nearcast_service::tls;
use serde_json::{Value, json};
use url::Url;

use crate::access::Scope;
use crate::oidc::{Allow, Signer};
use crate::testing::{ADMIN, Answer, World};

/// A provider: what it was asked, and what it says.
struct Provider {
    issuer: String,
    signer: Mutex<(Signer, String)>,
    /// The claims that its next token differs in.
    claims: Mutex<Value>,
    asked: Mutex<Vec<HashMap<String, String>>>,
    _daemon: Daemon,
}

impl Provider {
    async fn start() -> Arc<Self> {
        let daemon = Daemon::new();
        let listen = Config { plain_listen: "127.0.0.1:0".parse().ok(), ..Config::default() };
        let server = Server::bind(&listen, &tls::Config::default(), &daemon).await.unwrap();
        let provider = Arc::new(Self {
            issuer: format!("http://{}", server.plain_address().unwrap()),
            signer: Mutex::new((Signer::rsa("k-1"), "k-1".to_owned())),
            claims: Mutex::new(json!({})),
            asked: Mutex::default(),
            _daemon: daemon,
        });
        let answers = provider.clone();
        server.serve(move |request| answer(answers.clone(), request)).unwrap();
        provider
    }

    fn says(&self, claims: Value) {
        *self.claims.lock().unwrap() = claims;
    }

    fn token(&self, nonce: &str) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let mut claims = json!({ "iss": self.issuer, "aud": "nearcast", "sub": "s-1", "nonce": nonce, "iat": now, "exp": now + 60 });
        for (name, value) in self.claims.lock().unwrap().as_object().unwrap() {
            claims[name] = value.clone();
        }
        let signer = self.signer.lock().unwrap();
        signer.0.sign(Some(&signer.1), &claims)
    }
}

/// The code is the nonce: whoever signed in there was asked for that.
async fn answer(provider: Arc<Provider>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let authorization =
        request.headers().get("authorization").map(|value| value.to_str().unwrap().to_owned());
    let body = read_limited(request.into_body(), 10_000).await.unwrap();
    let issuer = &provider.issuer;
    let said = match path.as_str() {
        "/.well-known/openid-configuration" => json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{issuer}/auth?tenant=1"),
            "token_endpoint": format!("{issuer}/token"),
            "jwks_uri": format!("{issuer}/keys"),
        }),
        // One of a kind that nobody knows is no reason to believe none.
        "/keys" => json!({ "keys": [{ "kty": "new", "kid": 5 }, provider.signer.lock().unwrap().0.public] }),
        "/token" => {
            let mut form: HashMap<String, String> = url::form_urlencoded::parse(&body).into_owned().collect();
            form.insert("authorization".into(), authorization.unwrap_or_default());
            let code = form["code"].clone();
            let again = provider.asked.lock().unwrap().iter().any(|asked| asked["code"] == code);
            provider.asked.lock().unwrap().push(form);
            if again {
                let refused = Body::from(json!({ "error": "invalid_grant" }).to_string().into_bytes());
                return http::Response::builder().status(400).body(refused).unwrap();
            }
            json!({ "access_token": "x", "token_type": "Bearer", "id_token": provider.token(&code) })
        }
        _ => return http::Response::builder().status(404).body(Body::empty()).unwrap(),
    };
    Response::new(Body::from(said.to_string().into_bytes()))
}

async fn world(provider: &Provider, allow: Allow) -> (World, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let world = World::start_with(directory.path(), |config| {
        let oidc = &mut config.api.oidc;
        oidc.issuer = provider.issuer.clone();
        oidc.client_id = "nearcast".into();
        oidc.client_secret = "a secret: of ours".into();
        oidc.redirect = "https://control.example.net/".into();
        oidc.allow = allow;
        if allow == Allow::New {
            oidc.scopes.insert("staff".into(), vec![Scope::Publisher]);
        }
    })
    .await;
    (world, directory)
}

/// A browser on its way.
struct Browser {
    cookie: String,
    state: String,
    nonce: String,
    query: HashMap<String, String>,
}

async fn depart(world: &World) -> Browser {
    let sent = world.send(Method::GET, "/api/v1/oidc/login", "", "").await;
    assert_eq!(sent.status, StatusCode::FOUND, "{}", sent.text());
    let location = Url::parse(sent.headers["location"].to_str().unwrap()).unwrap();
    let query: HashMap<String, String> = location.query_pairs().into_owned().collect();
    let set = sent.headers["set-cookie"].to_str().unwrap();
    assert!(set.ends_with("; Path=/api/v1/oidc; SameSite=Lax; HttpOnly; Max-Age=600"), "{set}");
    let cookie = set.split(';').next().unwrap().to_owned();
    Browser { cookie, state: query["state"].clone(), nonce: query["nonce"].clone(), query }
}

async fn arrive(world: &World, browser: &Browser, query: &str) -> Answer {
    let path = format!("/api/v1/oidc/callback?{query}");
    world.send_with(Method::GET, &path, "", &[("cookie", &browser.cookie)], "").await
}

/// There and back.
async fn sign_in(world: &World) -> Answer {
    let browser = depart(world).await;
    arrive(world, &browser, &format!("state={}&code={}", browser.state, browser.nonce)).await
}

#[tokio::test]
async fn who_the_provider_knows_is_signed_in_with_what_they_belong_to() {
    let provider = Provider::start().await;
    let (world, _directory) = world(&provider, Allow::New).await;
    provider.says(json!({ "preferred_username": "Anna", "name": "Anna L.", "groups": ["staff", "x"] }));
    let browser = depart(&world).await;
    for (name, value) in [
        ("tenant", "1"),
        ("response_type", "code"),
        ("client_id", "nearcast"),
        ("scope", "openid profile email"),
        ("redirect_uri", "https://control.example.net/api/v1/oidc/callback"),
        ("code_challenge_method", "S256"),
    ] {
        assert_eq!(browser.query[name], value);
    }
    let query = format!("state={}&code={}&iss={}", browser.state, browser.nonce, provider.issuer);
    let back = arrive(&world, &browser, &query).await;
    assert_eq!(
        (back.status, back.headers["location"].to_str().unwrap()),
        (StatusCode::FOUND, "/"),
        "{}",
        back.text()
    );
    let set: Vec<_> = back.headers.get_all("set-cookie").iter().map(|line| line.to_str().unwrap()).collect();
    assert!(set[0].starts_with("nearcast_session=ncs_") && set[0].contains("SameSite=Strict"), "{set:?}");
    assert!(set[1].starts_with("nearcast_oidc=; "), "{set:?}");
    let session = set[0].split(';').next().unwrap();
    let me = world.send_with(Method::GET, "/api/v1/me", "", &[("cookie", session)], "").await.json();
    assert_eq!(
        (&me["user"], &me["name"], &me["scopes"]),
        (&json!("anna"), &json!("Anna L."), &json!(["publisher"]))
    );

    {
        let asked = provider.asked.lock().unwrap();
        use base64::Engine;
        let basic = base64::engine::general_purpose::STANDARD.encode("nearcast:a+secret%3A+of+ours");
        assert_eq!(asked[0]["authorization"], format!("Basic {basic}"));
        let verifier =
            aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, asked[0]["code_verifier"].as_bytes());
        let challenge = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(verifier);
        assert_eq!(challenge, browser.query["code_challenge"]);
    }
    // The same link again, and another browser with it.
    let again = arrive(&world, &browser, &query).await;
    assert_eq!(again.status, StatusCode::BAD_REQUEST);
    assert!(again.problem().detail.contains("finished already"), "{}", again.text());
    // A code that was used, with a state of one's own.
    let other = depart(&world).await;
    let replayed = arrive(&world, &other, &format!("state={}&code={}", other.state, browser.nonce)).await;
    assert_eq!(replayed.status, StatusCode::FORBIDDEN);
    assert!(replayed.problem().detail.contains("invalid_grant"), "{}", replayed.text());

    let log = world.get("/audit?action=finishOidcLogin").await.json();
    assert_eq!(log["entries"][0]["actor"], "user:anna");
    let refused = world.get("/audit?action=refused").await.json();
    assert_eq!(refused["entries"][0]["actor"], "oidc");
    // Who belongs to nothing any more is out, and was not changed.
    provider.says(json!({ "preferred_username": "anna", "groups": [] }));
    let out = sign_in(&world).await;
    assert_eq!(out.status, StatusCode::FORBIDDEN);
    assert!(out.problem().detail.contains("api.oidc.scopes"), "{}", out.text());
}

#[tokio::test]
async fn only_the_browser_that_went_comes_back() {
    let provider = Provider::start().await;
    let (world, _directory) = world(&provider, Allow::Existing).await;
    let (browser, other) = (depart(&world).await, depart(&world).await);
    let good = format!("state={}&code={}", browser.state, browser.nonce);
    for (who, query, status, says) in [
        (&other, good.as_str(), 400, "in this browser"),
        (&browser, "code=x", 400, "in this browser"),
        (&browser, "", 400, "in this browser"),
        (
            &Browser {
                cookie: "nearcast_oidc=made-up".into(),
                state: String::new(),
                nonce: String::new(),
                query: HashMap::new(),
            },
            "state=made-up&code=x",
            400,
            "in this browser",
        ),
        (&other, &format!("state={}&error=access_denied", other.state), 403, "access_denied"),
        (&browser, &format!("{good}&iss=https://evil.example"), 403, "another one"),
    ] {
        let refused = arrive(&world, who, query).await;
        assert_eq!(refused.status.as_u16(), status, "{query}: {}", refused.text());
        assert!(refused.problem().detail.contains(says), "{query}: {}", refused.text());
    }
    assert!(provider.asked.lock().unwrap().is_empty(), "no code was shown to anybody");
}

#[tokio::test]
async fn a_name_at_the_provider_makes_nobody_somebody_here() {
    let provider = Provider::start().await;
    let (world, _directory) = world(&provider, Allow::New).await;
    world.post("/users", json!({ "id": "boss", "scopes": ["admin"], "password": "three plain words" })).await;
    for name in [json!("boss"), json!("BOSS"), json!("not a name"), json!(null)] {
        provider.says(json!({ "preferred_username": name, "groups": "staff" }));
        let refused = sign_in(&world).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN);
        assert!(refused.problem().detail.contains("`subject` \"s-1\""), "{}", refused.text());
    }
    // An admin says who it is.
    let linked = json!({ "subject": "s-1" }).to_string();
    world.send(Method::PATCH, "/api/v1/users/boss", ADMIN, linked).await;
    assert_eq!(sign_in(&world).await.status, StatusCode::FOUND);
    assert_eq!(world.get("/users/boss").await.json()["scopes"], json!(["publisher"]), "the provider decides");
}

#[tokio::test]
async fn only_users_that_an_admin_made_get_in_where_nobody_new_may() {
    let provider = Provider::start().await;
    let (world, _directory) = world(&provider, Allow::Existing).await;
    provider.says(json!({ "preferred_username": "anna", "groups": ["staff"] }));
    let refused = sign_in(&world).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert!(refused.problem().detail.contains("nobody here is \"s-1\""), "{}", refused.text());
    world.post("/users", json!({ "id": "anna", "scopes": ["moderator"], "subject": "s-1" })).await;
    assert_eq!(sign_in(&world).await.status, StatusCode::FOUND);
    assert_eq!(world.get("/users/anna").await.json()["scopes"], json!(["moderator"]));
    world.send(Method::PATCH, "/api/v1/users/anna", ADMIN, r#"{"disabled":true}"#).await;
    let disabled = sign_in(&world).await;
    assert_eq!(disabled.status, StatusCode::FORBIDDEN);
    assert!(disabled.problem().detail.contains("disabled"), "{}", disabled.text());
}

#[tokio::test]
async fn a_token_that_cannot_be_believed_signs_nobody_in_and_a_new_key_is_looked_for() {
    let provider = Provider::start().await;
    let (world, _directory) = world(&provider, Allow::Existing).await;
    world.post("/users", json!({ "id": "anna", "scopes": ["moderator"], "subject": "s-1" })).await;
    for claims in [
        json!({ "nonce": "another" }),
        json!({ "aud": "another" }),
        json!({ "exp": 5 }),
        json!({ "iss": "https://evil.example" }),
    ] {
        provider.says(claims.clone());
        let refused = sign_in(&world).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{claims}");
        assert!(refused.problem().detail.contains("cannot be believed"), "{}", refused.text());
    }
    provider.says(json!({}));
    assert_eq!(sign_in(&world).await.status, StatusCode::FOUND);
    // Its own name for a key that it does not show; it was asked a moment ago, and is not asked again for that.
    provider.signer.lock().unwrap().1 = "k-2".into();
    let unknown = sign_in(&world).await;
    assert!(unknown.problem().detail.contains("does not show"), "{}", unknown.text());
}

#[tokio::test]
async fn a_provider_that_is_away_or_none_is_said_to_be() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::start(directory.path()).await;
    for path in ["/oidc/login", "/oidc/callback?state=x&code=y"] {
        let none = world.get(path).await;
        assert_eq!(none.status, StatusCode::NOT_FOUND);
        assert!(none.problem().detail.contains("api.oidc"), "{}", none.text());
    }
    let directory = tempfile::tempdir().unwrap();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let world = World::start_with(directory.path(), |config| {
        config.api.oidc.issuer = format!("http://{closed}");
        config.api.oidc.client_id = "nearcast".into();
        config.api.oidc.redirect = "http://localhost:8080".into();
    })
    .await;
    let away = world.get("/oidc/login").await;
    assert_eq!(away.status, StatusCode::BAD_GATEWAY);
    assert!(away.problem().detail.contains("identity provider"), "{}", away.text());
}
