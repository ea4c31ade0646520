//! A program that has read the control plane's OpenAPI document and nothing else.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use nearcast_tests::ports::Ports;
use nearcast_tests::process::daemon;
use tokio::process::Command;

/// Every operation with bodies and parameters that fit the document, and with some that do not: what comes back is
/// what the document says, and never a failure of the control plane's own.
#[tokio::test]
async fn every_operation_answers_as_the_document_says() -> Result<()> {
    let folder = tempfile::Builder::new().prefix("openapi-").tempdir()?;
    let (folder, ports) = (folder.path(), Ports::claim()?);
    let [http, ops] = [ports.local()?, ports.local()?];
    let config = folder.join("control.toml");
    std::fs::write(
        &config,
        format!(
            "roles = [\"api\"]\ndata_dir = {:?}\n\
             [http]\nplain_listen = \"{http}\"\n\
             [api]\nadmin_token = {ADMIN:?}\n\
             [ops]\nlisten = \"{ops}\"\n",
            folder.join("data")
        ),
    )?;
    let _control = daemon("nearcast-control", "control", &config, ops, &folder.join("logs")).await?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/schemathesis");
    let asked = Command::new(script).arg(format!("http://{http}")).arg(ADMIN).kill_on_drop(true).output();
    let said =
        tokio::time::timeout(PATIENCE, asked).await.context("schemathesis does not come to an end")??;
    let text = String::from_utf8_lossy(&said.stdout);
    ensure!(said.status.success(), "{text}{}", String::from_utf8_lossy(&said.stderr));
    Ok(())
}

const ADMIN: &str = "admin-token-of-the-tests";
/// Some thousand calls, one after the other.
const PATIENCE: Duration = Duration::from_secs(900);
