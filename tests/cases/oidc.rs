//! Signing in by an identity provider that shares no code with ours.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use nearcast_tests::client::{Client, Protocol};
use nearcast_tests::ports::Ports;
use nearcast_tests::process::Program;
use serde_json::{Value, json};
use tokio::process::Command;

const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/identity");

#[tokio::test]
async fn people_sign_in_by_a_certified_provider_and_are_what_it_says() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let ports = Ports::claim()?;
    let (control, ops, provider) = (ports.take()?, ports.take()?, ports.take()?);
    let url = format!("http://127.0.0.1:{control}");
    let args =
        [format!("{SCRIPTS}/provider.mjs"), provider.to_string(), format!("{url}/api/v1/oidc/callback")];
    let mut provider_process =
        Program::system("node").named("provider").args(args).piped().start(folder.path())?;
    let _input = provider_process.stdin()?;
    let log = provider_process.log_path().to_owned();
    let said = async || std::fs::read_to_string(&log).is_ok_and(|log| log.contains("issuer http"));
    provider_process.until("there", said).await?;

    let config = folder.path().join("control.toml");
    std::fs::write(
        &config,
        format!(
            "roles = [\"api\"]\ndata_dir = {data:?}\n[http]\nplain_listen = \"127.0.0.1:{control}\"\n\
             [ops]\nlisten = \"127.0.0.1:{ops}\"\n[api]\nadmin_token = \"admin-token-of-the-tests\"\n\
             [api.oidc]\nissuer = \"http://127.0.0.1:{provider}\"\nclient_id = \"nearcast\"\n\
             client_secret = \"a secret: of the tests\"\nredirect = \"{url}\"\nallow = \"new\"\n\
             scopes = {{ staff = [\"publisher\"] }}\n",
            data = folder.path().join("data"),
        ),
    )?;
    let args = ["--config".to_owned(), config.to_string_lossy().into_owned()];
    let mut process = Program::ours("nearcast-control")?.args(args).start(folder.path())?;
    process.ready(([127, 0, 0, 1], ops).into()).await?;

    let anna = sign_in(&url, &["anna"]).await?;
    ensure!(anna["status"] == 302 && anna["location"] == format!("{url}/"), "{anna}");
    let client = Client::connect(&url, Protocol::H1, &rustls::RootCertStore::empty()).await?;
    let cookie = anna["session"].as_str().context("no session")?;
    let me = client
        .send(http::Method::GET, "/api/v1/me", &[("cookie", cookie)], bytes::Bytes::new())
        .await?
        .expect(200)?;
    let me: Value = serde_json::from_slice(&me.body)?;
    ensure!(
        me["user"] == "anna" && me["name"] == "anna of the tests" && me["scopes"] == json!(["publisher"]),
        "{me}"
    );

    let nobody = sign_in(&url, &["nobody"]).await?;
    ensure!(
        nobody["status"] == 403
            && nobody["text"].as_str().is_some_and(|text| text.contains("api.oidc.scopes")),
        "{nobody}"
    );
    let again = sign_in(&url, &["anna", "again"]).await?;
    ensure!(again["status"] == 400 && again["session"].is_null(), "{again}");
    process.stop(Duration::from_secs(10)).await?;
    Ok(())
}

/// What the browser ends with.
async fn sign_in(url: &str, words: &[&str]) -> Result<Value> {
    let mut command = Command::new("node");
    command.arg(Path::new(SCRIPTS).join("sign-in.mjs")).arg(url).args(words).kill_on_drop(true);
    let output = command.output().await.context("running the browser")?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    serde_json::from_str(&said).with_context(|| format!("{said}{}", String::from_utf8_lossy(&output.stderr)))
}
