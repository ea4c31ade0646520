//! The two secrets that open the API from the start: the admin's and the nodes'. Others are made with it.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::keys;
use crate::store::Store;
use crate::{limits, oidc};

/// `[api]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// May do everything. Empty: a random one is made at the first start and kept in `data_dir/admin-token`.
    pub admin_token: String,
    /// For nodes: register, heartbeat, snapshot. Empty: a random one in `data_dir/node-token`.
    pub node_token: String,
    /// Whether that token opens anything. False where every node has enrolled: then each can be sent away alone.
    pub node_tokens: bool,
    /// Networks of reverse proxies whose `X-Forwarded-For` is believed: to steer viewers, to limit calls, in the audit log.
    pub trusted_proxies: Vec<IpNet>,
    /// How long who signs in stays signed in, in hours.
    pub session_hours: u32,
    /// How often the API may be called.
    pub limits: limits::Config,
    /// Signing in by an identity provider.
    pub oidc: oidc::Config,
}

/// The tokens in use.
#[derive(Clone)]
pub struct Tokens {
    admin: String,
    node: String,
    /// Whether `node` opens anything.
    pub(crate) node_counts: bool,
}

/// Whose secret it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    Admin,
    Node,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            admin_token: String::new(),
            node_token: String::new(),
            node_tokens: true,
            trusted_proxies: Vec::new(),
            session_hours: 12,
            limits: limits::Config::default(),
            oidc: oidc::Config::default(),
        }
    }
}

impl Config {
    /// One line on what cannot work.
    pub fn check(&self) -> Result<(), String> {
        for (key, token) in [("api.admin_token", &self.admin_token), ("api.node_token", &self.node_token)] {
            if !token.is_empty() && !is_usable(token) {
                return Err(format!(
                    "{key} is not usable: use at least {} visible ASCII characters",
                    keys::SHORTEST
                ));
            }
        }
        if !(1..=MAX_HOURS).contains(&self.session_hours) {
            return Err(format!("api.session_hours: use 1 to {MAX_HOURS}"));
        }
        self.limits.check()?;
        self.oidc.check()
    }
}

impl Tokens {
    /// The configured tokens, those of earlier starts, or new ones.
    ///
    /// # Errors
    /// A token's file cannot be read or written, or holds no token.
    pub async fn load(config: &Config, data_dir: &Path, store: &Store) -> Result<Self> {
        fs::create_dir_all(data_dir)
            .map_err(|source| Error::DataDir { path: data_dir.to_owned(), source })?;
        let token = async |configured: &str, file: &str| match configured {
            "" => kept(&data_dir.join(file), file, store).await,
            configured => Ok(configured.to_owned()),
        };
        Ok(Self {
            admin: token(&config.admin_token, "admin-token").await?,
            node: token(&config.node_token, "node-token").await?,
            node_counts: config.node_tokens,
        })
    }

    /// Whose `token` is, if it is one of the two.
    pub fn holder(&self, token: &str) -> Option<Holder> {
        // Both are always compared, so that the time says nothing about which it was.
        match (keys::same(token, &self.admin), keys::same(token, &self.node)) {
            (true, _) => Some(Holder::Admin),
            (false, true) => Some(Holder::Node),
            (false, false) => None,
        }
    }
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tokens")
    }
}

/// The token in the file, or a new one; where other instances have another already, theirs, and the file says so from then on.
async fn kept(path: &Path, name: &str, store: &Store) -> Result<String> {
    let failed = |source| Error::TokenFile { path: path.to_owned(), source };
    let own = match fs::read_to_string(path) {
        Ok(text) if is_usable(text.trim()) => Some(text.trim().to_owned()),
        Ok(_) => return Err(Error::WeakToken { path: path.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(failed(error)),
    };
    let token = store.secret(name, own.clone().unwrap_or_else(keys::random)).await?;
    if own.as_ref() != Some(&token) {
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
        file.and_then(|mut file| file.write_all(format!("{token}\n").as_bytes())).map_err(failed)?;
        // Not the token itself: logs are sent to places and read by people that it must not reach.
        tracing::info!("there is a new token in {}", path.display());
    }
    Ok(token)
}

/// A month: longer than that a stolen laptop must not be signed in.
const MAX_HOURS: u32 = 24 * 31;

fn is_usable(token: &str) -> bool {
    token.len() >= keys::SHORTEST && token.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::store::Database;
    use crate::testing::postgres;

    async fn store(directory: &Path) -> Store {
        Store::open(&Database::Sqlite(directory.join("control.db"))).await.unwrap()
    }

    #[tokio::test]
    async fn random_tokens_are_made_once_and_only_the_owner_may_read_them() {
        let directory = tempfile::tempdir().unwrap();
        let (path, store) = (directory.path().join("data"), store(directory.path()).await);
        let first = Tokens::load(&Config::default(), &path, &store).await.unwrap();
        let file = path.join("admin-token");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let second = Tokens::load(&Config::default(), &path, &store).await.unwrap();
        assert_eq!(second.holder(&first.admin), Some(Holder::Admin));
        assert_eq!(second.holder(&first.node), Some(Holder::Node));
        assert_eq!((second.holder(""), second.holder("x")), (None, None));

        fs::write(&file, "\n").unwrap();
        let error = Tokens::load(&Config::default(), &path, &store).await.unwrap_err().to_string();
        assert!(error.contains("delete the file"), "{error}");
    }

    #[tokio::test]
    async fn all_instances_have_the_same_tokens() {
        let database = Database::Postgres(postgres::database().await);
        let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        // The second has tokens of an earlier life, alone.
        let alone = store(folders[1].path()).await;
        let before = Tokens::load(&Config::default(), folders[1].path(), &alone).await.unwrap();
        let mut tokens = Vec::new();
        for folder in &folders {
            let store = Store::open(&database).await.unwrap();
            tokens.push(Tokens::load(&Config::default(), folder.path(), &store).await.unwrap());
        }
        assert_eq!(tokens[1].holder(&tokens[0].node), Some(Holder::Node));
        assert_eq!(tokens[1].holder(&tokens[0].admin), Some(Holder::Admin));
        assert_eq!(tokens[1].holder(&before.admin), None);
        let file = fs::read_to_string(folders[1].path().join("node-token")).unwrap();
        assert_eq!(file.trim(), tokens[0].node);
    }

    #[tokio::test]
    async fn a_configured_token_needs_no_file() {
        let directory = tempfile::tempdir().unwrap();
        let config = Config {
            admin_token: "an-admin-token-of-mine".into(),
            node_token: "a-node-token-of-mine".into(),
            ..Config::default()
        };
        let data = directory.path().join("data");
        let tokens = Tokens::load(&config, &data, &store(directory.path()).await).await.unwrap();
        assert_eq!(tokens.holder("an-admin-token-of-mine"), Some(Holder::Admin));
        assert_eq!(fs::read_dir(data).unwrap().count(), 0);
    }
}
