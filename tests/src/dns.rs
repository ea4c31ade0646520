//! Questions to the DNS server, asked by `dig`.

use std::net::IpAddr;

use anyhow::{Context as _, Result, ensure};
use tokio::process::Command;

/// What dig got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// `NOERROR`, `NXDOMAIN`, `REFUSED`.
    pub status: String,
    /// Addresses in the answer section, in order.
    pub addresses: Vec<IpAddr>,
    /// Client subnet in the answer: `198.51.100.0/24/24`.
    pub subnet: Option<String>,
}

/// Asks 127.0.0.1:`port` for A records of `name`, with more of dig's words (`+subnet=…`, `+tcp`).
pub async fn dig(port: u16, name: &str, more: &[&str]) -> Result<Answer> {
    let output = Command::new("dig")
        .args(["@127.0.0.1", "-p", &port.to_string(), name, "A", "+tries=1", "+time=2", "+norecurse"])
        .args(more)
        .output()
        .await
        .context("running dig (Debian: bind9-dnsutils)")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "dig {name} failed:\n{text}");
    let after = |mark: &str| text.split_once(mark).map(|(_, rest)| rest);
    let status = after("status: ").and_then(|rest| rest.split(',').next()).context("no status")?;
    let subnet = after("CLIENT-SUBNET: ").and_then(|rest| rest.lines().next());
    let answers = text.lines().filter(|line| !line.starts_with(';'));
    let addresses = answers.filter_map(|line| line.split_whitespace().last()?.parse().ok()).collect();
    Ok(Answer { status: status.to_owned(), addresses, subnet: subnet.map(str::to_owned) })
}
