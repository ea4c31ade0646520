//! Signing in by an OpenID Connect provider: what it is asked, and who that makes somebody here.
//!
//! The authorization code flow with PKCE (RFC 6749 section 4.1, RFC 7636, OpenID Connect Core 1.0 section 3.1).

mod id_token;
mod provider;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use crate::access::Scope;
use crate::error::{Error, Result};
use crate::plane::Identity;

#[cfg(test)]
pub(crate) use id_token::tests::Signer;
pub use provider::{Departure, Provider};

/// `[api.oidc]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The provider's issuer URL, below which `/.well-known/openid-configuration` is; empty for none.
    pub issuer: String,
    /// Who this control plane is there, and its secret; an empty one for a public client.
    pub client_id: String,
    pub client_secret: String,
    /// This control plane's base URL for browsers: `https://control.example.net`. The provider has to allow
    /// `/api/v1/oidc/callback` below it.
    pub redirect: String,
    /// What is asked for, beside `openid`.
    pub request_scopes: Vec<String>,
    /// The claim that names somebody who is new here.
    pub user_claim: String,
    /// The claim that says what they belong to: a text or a list of texts.
    pub scopes_claim: String,
    /// The scopes of those who belong to something. Where this is set, nobody else gets in, and it overrides at each sign-in what
    /// the user had; where it is empty, users have what an admin gave them.
    pub scopes: BTreeMap<String, Vec<Scope>>,
    /// Whether people who are new here are let in.
    pub allow: Allow,
    /// PEM file of the authorities to trust in `https://`; empty for the system's.
    pub ca: PathBuf,
}

/// Whom the provider may bring.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Allow {
    /// Users whose `subject` an admin has set.
    #[default]
    Existing,
    /// Whoever belongs to one of `scopes`.
    New,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            issuer: String::new(),
            client_id: String::new(),
            client_secret: String::new(),
            redirect: String::new(),
            request_scopes: vec!["profile".into(), "email".into()],
            user_claim: "preferred_username".into(),
            scopes_claim: "groups".into(),
            scopes: BTreeMap::new(),
            allow: Allow::Existing,
            ca: PathBuf::new(),
        }
    }
}

impl Config {
    /// One line on what cannot work.
    pub fn check(&self) -> std::result::Result<(), String> {
        if self.issuer.is_empty() {
            return Ok(());
        }
        for (key, url) in [("api.oidc.issuer", &self.issuer), ("api.oidc.redirect", &self.redirect)] {
            if !is_safe(url) {
                return Err(format!("{key}: use a URL with https://, or http:// on this machine"));
            }
        }
        if self.client_id.is_empty() {
            return Err("api.oidc.client_id is empty: register this control plane at the provider".to_owned());
        }
        if self.allow == Allow::New && self.scopes.is_empty() {
            return Err(
                "api.oidc.allow is \"new\" and api.oidc.scopes is empty: say what they may do".to_owned()
            );
        }
        Ok(())
    }

    /// Who somebody is here, by the claims of their ID token.
    fn identity(&self, claims: &serde_json::Map<String, Value>) -> Result<Identity> {
        let text = |name: &str| claims.get(name).and_then(Value::as_str).map(str::to_owned);
        let subject = text("sub").ok_or_else(|| Error::OidcToken("it has no `sub`".to_owned()))?;
        let name =
            text("name").map(|name| name.chars().filter(|c| !c.is_control()).take(LONGEST_NAME).collect());
        let scopes = match self.scopes.is_empty() {
            true => None,
            false => Some(self.scopes_of(claims.get(&self.scopes_claim))?),
        };
        Ok(Identity { subject, id: text(&self.user_claim), name, scopes })
    }

    fn scopes_of(&self, claim: Option<&Value>) -> Result<Vec<Scope>> {
        let belongs: Vec<&str> = match claim {
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        let mut scopes: Vec<Scope> =
            belongs.into_iter().filter_map(|name| self.scopes.get(name)).flatten().copied().collect();
        scopes.sort_unstable();
        scopes.dedup();
        if scopes.is_empty() { Err(Error::OidcNoScope) } else { Ok(scopes) }
    }
}

/// Codes and tokens must not travel in the open.
fn is_safe(url: &str) -> bool {
    let Ok(url) = Url::parse(url) else { return false };
    let is_here = match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    url.scheme() == "https" || (url.scheme() == "http" && is_here)
}

/// As long as an admin could make it.
const LONGEST_NAME: usize = 200;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn config() -> Config {
        let scopes = [("admins", vec![Scope::Admin]), ("staff", vec![Scope::ReadOnly, Scope::Moderator])];
        Config {
            issuer: "https://id.example.net".into(),
            client_id: "nearcast".into(),
            redirect: "https://control.example.net".into(),
            scopes: scopes.into_iter().map(|(name, scopes)| (name.to_owned(), scopes)).collect(),
            ..Config::default()
        }
    }

    fn identity(config: &Config, claims: Value) -> Result<Identity> {
        config.identity(claims.as_object().unwrap())
    }

    #[test]
    fn what_somebody_belongs_to_says_what_they_may_do() {
        let anna = json!({ "sub": "7", "preferred_username": "anna", "name": "Anna\n L.", "groups": ["staff", "x", "staff"] });
        let anna = identity(&config(), anna).unwrap();
        assert_eq!(
            (anna.subject.as_str(), anna.id.as_deref(), anna.name.as_deref()),
            ("7", Some("anna"), Some("Anna L."))
        );
        assert_eq!(anna.scopes, Some(vec![Scope::Moderator, Scope::ReadOnly]));
        let one = identity(&config(), json!({ "sub": "7", "groups": "admins" })).unwrap();
        assert_eq!(one.scopes, Some(vec![Scope::Admin]));
        for nothing in [
            json!({ "sub": "7" }),
            json!({ "sub": "7", "groups": ["x"] }),
            json!({ "sub": "7", "groups": 5 }),
        ] {
            assert!(matches!(identity(&config(), nothing), Err(Error::OidcNoScope)));
        }
        let unmapped = Config { scopes: BTreeMap::new(), ..config() };
        assert_eq!(identity(&unmapped, json!({ "sub": "7" })).unwrap().scopes, None);
        assert!(matches!(identity(&unmapped, json!({})), Err(Error::OidcToken(_))));
    }

    #[test]
    fn what_cannot_work_is_named() {
        config().check().unwrap();
        Config::default().check().unwrap();
        Config {
            issuer: "http://127.0.0.1:5000".into(),
            redirect: "http://localhost:8080".into(),
            ..config()
        }
        .check()
        .unwrap();
        let says = |config: Config| config.check().unwrap_err();
        assert!(
            says(Config { issuer: "http://id.example.net".into(), ..config() }).contains("api.oidc.issuer")
        );
        assert!(says(Config { redirect: String::new(), ..config() }).contains("api.oidc.redirect"));
        assert!(says(Config { client_id: String::new(), ..config() }).contains("api.oidc.client_id"));
        assert!(
            says(Config { allow: Allow::New, scopes: BTreeMap::new(), ..config() })
                .contains("api.oidc.scopes")
        );
    }
}
