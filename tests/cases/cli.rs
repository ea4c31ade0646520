//! An operator at a terminal.

use anyhow::{Context as _, Result, ensure};
use nearcast_tests::cli::{self, Said};
use serde_json::Value;

use crate::shared;

/// Asks the world that cases share.
async fn control(words: &[&str], token: &str) -> Result<Said> {
    cli::control(shared().layout.control, token, words).await
}

#[tokio::test]
async fn an_operator_looks_after_channels_keys_and_tokens() -> Result<()> {
    let admin = shared().admin_token();
    let done = async |words: &[&str], token: &str| -> Result<String> {
        let said = control(words, token).await?;
        ensure!(said.code == Some(0), "{words:?} ended with {:?}: {}{}", said.code, said.out, said.error);
        Ok(said.out)
    };
    done(&["channel", "create", "cli-1", "--title", "From a terminal"], admin).await?;
    let list = done(&["channel", "list"], admin).await?;
    ensure!(list.starts_with("ID "), "no table: {list}");
    ensure!(
        list.lines().any(|line| line.starts_with("cli-1 ") && line.contains("From a terminal")),
        "{list}"
    );
    let key: Value =
        serde_json::from_str(&done(&["key", "create", "cli-1", "--label", "OBS", "--json"], admin).await?)?;
    ensure!(key["key"].as_str().is_some_and(|key| key.len() == 32), "{key}");
    let nodes = done(&["node", "list"], admin).await?;
    ensure!(nodes.lines().any(|line| line.starts_with("origin-1 ") && line.contains(" ready ")), "{nodes}");

    // Somebody who looks after one channel, and nothing else.
    let words =
        ["token", "create", "--scope", "publisher", "--channel", "cli-1", "--expires-in", "1h", "--json"];
    let made: Value = serde_json::from_str(&done(&words, admin).await?)?;
    let (id, token) = (made["id"].as_str().context("no id")?, made["token"].as_str().context("no token")?);
    done(&["channel", "change", "cli-1", "--settings", r#"{"record": false}"#], token).await?;
    let refused = control(&["node", "list"], token).await?;
    ensure!(refused.code == Some(1) && refused.error.contains("/api/v1/channels/cli-1"), "{}", refused.error);
    let log = done(&["audit", "list", "--target", "channels/cli-1"], admin).await?;
    let by_token = |line: &str| line.contains("changeChannel") && line.contains(&format!("token:{id}"));
    ensure!(log.lines().any(by_token), "{log}");
    done(&["token", "delete", id], admin).await?;
    let refused = control(&["channel", "show", "cli-1"], token).await?;
    ensure!(refused.code == Some(1) && refused.error.contains("not one of ours"), "{}", refused.error);
    done(&["channel", "delete", "cli-1"], admin).await?;
    Ok(())
}

#[tokio::test]
async fn what_is_wrong_is_said_in_a_line() -> Result<()> {
    let admin = shared().admin_token();
    for (words, code, says) in [
        (&["channel", "show", "none"][..], 1, "no channel none"),
        (&["channel", "list", "--url", "http://127.0.0.1:1"], 1, "cannot reach http://127.0.0.1:1"),
        (&["channel", "list", "--token-file", "/none"], 1, "cannot read the token in /none"),
        (&["channel"], 2, "Usage: nearcast-control channel"),
        (&["chanel", "list"], 2, "a similar subcommand exists: 'channel'"),
    ] {
        let said = control(words, admin).await?;
        ensure!(said.code == Some(code), "{words:?} ended with {:?}: {}", said.code, said.error);
        ensure!(said.error.contains(says), "{words:?} says: {}", said.error);
    }
    let completion = control(&["completion", "bash"], admin).await?;
    ensure!(
        completion.out.contains("nearcast-control") && completion.code == Some(0),
        "{}",
        completion.error
    );
    Ok(())
}
