//! The control plane's API, as an operator uses it.

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

use crate::client::{Client, Protocol, Reply};

/// A client of `/api/v1` with the admin token.
pub struct Admin {
    client: Client,
    authorization: String,
}

impl Admin {
    /// `url` is the control plane's base URL.
    pub async fn connect(url: &str, token: &str) -> Result<Self> {
        let client = Client::connect(url, Protocol::H1, &rustls::RootCertStore::empty()).await?;
        Ok(Self { client, authorization: format!("Bearer {token}") })
    }

    /// Creates a channel.
    pub async fn create_channel(&self, id: &str, title: &str) -> Result<()> {
        let reply = self.send(Method::POST, "/channels", &json!({ "id": id, "title": title })).await?;
        reply.expect(201).map(|_| ()).with_context(|| format!("creating channel {id}"))
    }

    /// Gives a channel a new stream key and returns it.
    pub async fn create_key(&self, channel: &str) -> Result<String> {
        self.create(channel, &json!({})).await
    }

    /// The same for an encoder that stands by.
    pub async fn create_backup_key(&self, channel: &str) -> Result<String> {
        self.create(channel, &json!({ "backup": true })).await
    }

    async fn create(&self, channel: &str, key: &Value) -> Result<String> {
        let reply = self.send(Method::POST, &format!("/channels/{channel}/keys"), key).await?;
        let reply = reply.expect(201).with_context(|| format!("creating a key of {channel}"))?;
        let answer: Value = serde_json::from_slice(&reply.body)?;
        Ok(answer["key"].as_str().context("the answer has no key")?.to_owned())
    }

    /// True when there is such a resource.
    pub async fn exists(&self, path: &str) -> Result<bool> {
        Ok(self.call(Method::GET, path, Bytes::new()).await?.status != 404)
    }

    /// Gets a resource as JSON.
    pub async fn get(&self, path: &str) -> Result<Value> {
        let reply = self.call(Method::GET, path, Bytes::new()).await?.expect(200)?;
        Ok(serde_json::from_slice(&reply.body)?)
    }

    /// Gets a resource that is no JSON.
    pub async fn get_text(&self, path: &str) -> Result<String> {
        let reply = self.call(Method::GET, path, Bytes::new()).await?.expect(200)?;
        Ok(String::from_utf8(reply.body.into())?)
    }

    /// All items of a list that comes in pages, of which each is in `field`.
    pub async fn all(&self, path: &str, field: &str) -> Result<Vec<Value>> {
        let (mut all, mut cursor) = (Vec::new(), String::new());
        loop {
            let mut page = self.get(&format!("{path}?limit=100{cursor}")).await?;
            all.append(page[field].as_array_mut().context("the answer has no such list")?);
            let Some(next) = page["next"].as_str() else { return Ok(all) };
            cursor = format!("&cursor={next}");
        }
    }

    /// Sends JSON and returns the answer, whatever its status.
    pub async fn send(&self, method: Method, path: &str, body: &Value) -> Result<Reply> {
        self.call(method, path, body.to_string().into()).await
    }

    async fn call(&self, method: Method, path: &str, body: Bytes) -> Result<Reply> {
        let headers = [("authorization", self.authorization.as_str()), ("content-type", "application/json")];
        self.client.send(method, &format!("/api/v1{path}"), &headers, body).await
    }
}
