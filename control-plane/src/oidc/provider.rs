//! Talks to the identity provider: what it can, where to send browsers, and what a code is worth.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{Request, StatusCode};
use jsonwebtoken::jwk::Jwk;
use nearcast_service::client::{self, Http};
use nearcast_service::http::{Body, read_limited};
use nearcast_service::log::Chain;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::Mutex;
use url::Url;
use url::form_urlencoded::{Serializer, byte_serialize};

use super::id_token::{self, Doubt, Expected};
use super::{Allow, Config};
use crate::error::{Error, Result};
use crate::plane::Identity;
use crate::store::OidcLogin;

/// The provider that is configured.
#[derive(Debug)]
pub struct Provider {
    config: Config,
    http: Http,
    known: Mutex<Option<Known>>,
}

/// Somebody is sent to the provider.
#[derive(Debug)]
pub struct Departure {
    pub location: String,
    pub state: String,
    pub nonce: String,
    pub verifier: String,
}

#[derive(Debug, Clone)]
struct Known {
    at: Instant,
    metadata: Metadata,
    keys: Vec<Jwk>,
}

/// OpenID Connect Discovery 1.0 section 3.
#[derive(Debug, Clone, Deserialize)]
struct Metadata {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
}

/// One by one, since there may be some of kinds that nobody here knows.
#[derive(Debug, Deserialize)]
struct Keys {
    keys: Vec<Value>,
}

#[derive(Deserialize)]
struct Tokens {
    id_token: String,
}

impl Provider {
    /// None when none is configured. It is asked when somebody signs in, not before.
    ///
    /// # Errors
    /// The authorities to trust cannot be read.
    pub fn new(config: &Config) -> Result<Option<Self>> {
        if config.issuer.is_empty() {
            return Ok(None);
        }
        let http = Http::new(&client::Config { ca: config.ca.clone(), ..client::Config::default() })?;
        Ok(Some(Self { config: config.clone(), http, known: Mutex::default() }))
    }

    /// Whether people who are new here are let in.
    pub fn brings_new(&self) -> bool {
        self.config.allow == Allow::New
    }

    /// The issuer, which answers may name (RFC 9207).
    pub fn issuer(&self) -> &str {
        &self.config.issuer
    }

    /// Where to send a browser.
    pub async fn depart(&self) -> Result<Departure> {
        let metadata = self.known(FRESH).await?.metadata;
        let [state, nonce, verifier] = [random(), random(), random()];
        let mut url = Url::parse(&metadata.authorization_endpoint)
            .map_err(|error| failed("saying where to sign in")(error.to_string()))?;
        let challenge = URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, verifier.as_bytes()));
        let scopes = format!("openid {}", self.config.request_scopes.join(" "));
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.config.client_id)
            .append_pair("redirect_uri", &self.redirect_uri())
            .append_pair("scope", scopes.trim())
            .append_pair("state", &state)
            .append_pair("nonce", &nonce)
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256");
        Ok(Departure { location: url.into(), state, nonce, verifier })
    }

    /// Who came back with this code.
    pub async fn arrive(&self, code: &str, login: &OidcLogin) -> Result<Identity> {
        let known = self.known(FRESH).await?;
        let token = self.redeem(&known.metadata, code, &login.verifier).await?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let (issuer, client_id) = (self.config.issuer.as_str(), self.config.client_id.as_str());
        let expected = Expected { issuer, client_id, nonce: &login.nonce, now };
        let verified = match id_token::verify(&token, &known.keys, &expected) {
            // Providers change their keys; but who sends made-up ones does not make us ask for each.
            Err(Doubt::UnknownKey) => id_token::verify(&token, &self.known(RECENT).await?.keys, &expected),
            verified => verified,
        };
        let claims = verified.map_err(|doubt| match doubt {
            Doubt::UnknownKey => {
                Error::OidcToken("it is signed with a key that the provider does not show".to_owned())
            }
            Doubt::Wrong(why) => Error::OidcToken(why),
        })?;
        self.config.identity(&claims)
    }

    /// The ID token for a code (OpenID Connect Core 1.0 section 3.1.3).
    async fn redeem(&self, metadata: &Metadata, code: &str, verifier: &str) -> Result<String> {
        let (status, body) = self.ask("giving a token", self.token_request(metadata, code, verifier)).await?;
        // RFC 6749 section 5.2: the code is not, or no longer, good.
        if status.is_client_error() {
            let problem = serde_json::from_slice::<Value>(&body).unwrap_or_default();
            let problem = problem["error"].as_str().unwrap_or("no reason is given");
            return Err(Error::OidcRefused(problem.chars().take(100).collect()));
        }
        Ok(read::<Tokens>("giving a token", status, &body)?.id_token)
    }

    fn token_request(&self, metadata: &Metadata, code: &str, verifier: &str) -> http::Result<Request<Body>> {
        let Config { client_id, client_secret, .. } = &self.config;
        let mut form = Serializer::new(String::new());
        form.append_pair("grant_type", "authorization_code")
            .append_pair("code", code)
            .append_pair("redirect_uri", &self.redirect_uri())
            .append_pair("code_verifier", verifier);
        let mut request = Request::post(&metadata.token_endpoint)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(ACCEPT, "application/json");
        let methods = metadata.token_endpoint_auth_methods_supported.as_ref();
        let basic =
            methods.is_none_or(|methods| methods.iter().any(|method| method == "client_secret_basic"));
        if client_secret.is_empty() {
            form.append_pair("client_id", client_id);
        } else if basic {
            // RFC 6749 section 2.3.1: each is form-encoded first.
            let [id, secret] =
                [client_id, client_secret].map(|text| byte_serialize(text.as_bytes()).collect::<String>());
            request =
                request.header(AUTHORIZATION, format!("Basic {}", STANDARD.encode(format!("{id}:{secret}"))));
        } else {
            form.append_pair("client_id", client_id).append_pair("client_secret", client_secret);
        }
        request.body(Body::from(form.finish()))
    }

    /// What the provider says of itself, not older than that.
    async fn known(&self, age: Duration) -> Result<Known> {
        // Held while it is asked: a crowd that signs in asks once.
        let mut known = self.known.lock().await;
        if let Some(known) = known.as_ref().filter(|known| known.at.elapsed() < age) {
            return Ok(known.clone());
        }
        let issuer = &self.config.issuer;
        let url = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let metadata: Metadata = self.get("saying what it can", &url).await?;
        if metadata.issuer != *issuer {
            let problem =
                format!("it calls itself {:?}, and `api.oidc.issuer` is {issuer:?}", metadata.issuer);
            return Err(failed("saying what it can")(problem));
        }
        let Keys { keys } = self.get("showing its keys", &metadata.jwks_uri).await?;
        let keys = keys.into_iter().filter_map(|key| serde_json::from_value(key).ok()).collect();
        Ok(known.insert(Known { at: Instant::now(), metadata, keys }).clone())
    }

    async fn get<T: DeserializeOwned>(&self, attempt: &'static str, url: &str) -> Result<T> {
        let request = Request::get(url).header(ACCEPT, "application/json").body(Body::empty());
        let (status, body) = self.ask(attempt, request).await?;
        read(attempt, status, &body)
    }

    async fn ask(
        &self,
        attempt: &'static str,
        request: http::Result<Request<Body>>,
    ) -> Result<(StatusCode, bytes::Bytes)> {
        let request = request.map_err(|error| failed(attempt)(error.to_string()))?;
        let asked = async {
            let response = self.http.request(request).await;
            let response = response.map_err(|error| failed(attempt)(Chain(&error).to_string()))?;
            let status = response.status();
            let body = read_limited(response.into_body(), MAX_ANSWER).await;
            Ok((status, body.map_err(|error| failed(attempt)(Chain(&error).to_string()))?))
        };
        let late = |_| failed(attempt)("it takes too long".to_owned());
        tokio::time::timeout(PATIENCE, asked).await.map_err(late)?
    }

    fn redirect_uri(&self) -> String {
        format!("{}/api/v1/oidc/callback", self.config.redirect.trim_end_matches('/'))
    }
}

fn read<T: DeserializeOwned>(attempt: &'static str, status: StatusCode, body: &[u8]) -> Result<T> {
    if status != StatusCode::OK {
        return Err(failed(attempt)(format!("it answered {status}")));
    }
    serde_json::from_slice(body).map_err(|error| failed(attempt)(error.to_string()))
}

fn failed(attempt: &'static str) -> impl Fn(String) -> Error {
    move |problem| Error::OidcProvider { attempt, problem }
}

/// 256 random bits as 43 characters, as a code verifier is (RFC 7636 section 4.1).
fn random() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
}

/// How old what is known of the provider may be.
const FRESH: Duration = Duration::from_secs(3600);
/// The same where a key is missing.
const RECENT: Duration = Duration::from_secs(60);
/// Somebody waits in front of a browser.
const PATIENCE: Duration = Duration::from_secs(10);
const MAX_ANSWER: usize = 1 << 20;
