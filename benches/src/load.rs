//! Load on one URL for some seconds: wrk for H1, h2load for H2, our own for H3.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use nearcast_tests::certificate::Certificate;
use nearcast_tests::client::Protocol;
use tokio::process::Command;

use crate::h3::{self, Rate};

/// Who asks, and how many at a time.
#[derive(Debug, Clone, Copy)]
pub enum Load {
    /// Over TLS when the URL says so.
    H1 {
        connections: usize,
    },
    H2 {
        connections: usize,
        streams: usize,
    },
    H3(Rate),
}

/// What a load has done.
#[derive(Debug, Clone, Copy)]
pub struct Done {
    /// Whole, good answers.
    pub answers: f64,
    /// Of an open loop: how late requests were made, p99 in ms. A load that is the limit falls behind.
    pub late: Option<f64>,
}

/// Whom is asked for what.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// `https://127.0.0.1:8443`
    pub base: &'a str,
    pub path: &'a str,
    /// Bytes of the object.
    pub size: usize,
    pub certificate: &'a Certificate,
}

impl Load {
    /// What it speaks.
    pub fn protocol(self) -> Protocol {
        match self {
            Self::H1 { .. } => Protocol::H1,
            Self::H2 { .. } => Protocol::H2,
            Self::H3(_) => Protocol::H3,
        }
    }

    /// Asks for the target as fast as it can be had.
    pub async fn run(self, target: Target<'_>, time: Duration) -> Result<Done> {
        let url = format!("{}{}", target.base, target.path);
        let seconds = time.as_secs();
        let answers = match self {
            Self::H1 { connections } => {
                let args = [
                    "--threads=1".into(),
                    "--timeout=30s".into(),
                    format!("--connections={connections}"),
                    format!("--duration={seconds}s"),
                    url,
                ];
                let output = tool("wrk", &args, &one_cipher(target.certificate)?).await?;
                ensure!(!output.contains("Non-2xx"), "not all answers were good:\n{output}");
                ensure!(!output.contains("Socket errors"), "connections broke:\n{output}");
                number_before(&output, " requests in ")
            }
            Self::H2 { connections, streams } => {
                let args = [
                    format!("--clients={connections}"),
                    format!("--max-concurrent-streams={streams}"),
                    format!("--duration={seconds}"),
                    format!("--tls13-ciphers={CIPHER}"),
                    url,
                ];
                let output = tool("h2load", &args, &[]).await?;
                ensure!(output.contains(" 0 failed, 0 errored, 0 timeout"), "not all were good:\n{output}");
                ensure!(output.contains(CIPHER), "another cipher was chosen:\n{output}");
                number_before(&output, " 2xx")
            }
            Self::H3(rate) => return h3::run(target, rate, time).await,
        };
        Ok(Done { answers: answers?, late: None })
    }
}

/// What makes a program with OpenSSL inside offer one cipher only: a file for its environment. wrk has no option.
fn one_cipher(certificate: &Certificate) -> Result<Vec<(&'static str, String)>> {
    let file = certificate.certificate.with_file_name("openssl.cnf");
    let text = format!(
        "openssl_conf = all\n[all]\nssl_conf = ssl\n[ssl]\nsystem_default = tls\n\
         [tls]\nMinProtocol = TLSv1.3\nCiphersuites = {CIPHER}\n"
    );
    std::fs::write(&file, text)?;
    Ok(vec![("OPENSSL_CONF", file.to_string_lossy().into_owned())])
}

async fn tool(name: &str, args: &[String], env: &[(&str, String)]) -> Result<String> {
    let envs = env.iter().map(|(name, value)| (name, value));
    let output = Command::new(name).args(args).envs(envs).kill_on_drop(true).output().await;
    let output =
        output.with_context(|| format!("running {name}: `make setup WITH_BENCHES=1` installs it"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "{name} failed:\n{text}{}", String::from_utf8_lossy(&output.stderr));
    Ok(text)
}

/// The number that stands right before `mark`.
fn number_before(text: &str, mark: &str) -> Result<f64> {
    let (before, _) = text.split_once(mark).with_context(|| format!("no {mark:?} in:\n{text}"))?;
    let word = before.split_whitespace().next_back().context("nothing before it")?;
    word.parse().with_context(|| format!("{word:?} is no number in:\n{text}"))
}

/// What every load offers, so that all servers encrypt alike.
const CIPHER: &str = "TLS_AES_128_GCM_SHA256";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tools_answers_are_understood() {
        let wrk = "  2 threads\n  61234 requests in 5.00s, 80.1MB read\n";
        assert_eq!(number_before(wrk, " requests in ").unwrap(), 61234.0);
        let h2load = "status codes: 4321 2xx, 0 3xx, 0 4xx, 0 5xx\n";
        assert_eq!(number_before(h2load, " 2xx").unwrap(), 4321.0);
        assert!(number_before("nothing", " 2xx").is_err());
    }
}
