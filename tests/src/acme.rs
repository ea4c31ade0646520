//! A certificate authority that speaks ACME: Caddy's, which shares no code with ours.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::Result;
use tokio::process::Command;

use crate::process::{Process, Program};
use crate::publisher::fetched;

/// A running one.
#[derive(Debug)]
pub struct Server {
    /// Of its directory.
    pub url: String,
    /// PEM file of the authority that all its certificates come from, its own too.
    pub root: PathBuf,
    pub process: Process,
}

impl Server {
    /// Starts one at `address`, a loopback address, with its state in `folder`; it asks the DNS server at port 53 of `dns`
    /// where names lead. Returns once it answers.
    pub async fn start(address: SocketAddr, dns: IpAddr, folder: &Path) -> Result<Self> {
        let (store, config, resolver) =
            (folder.join("caddy"), folder.join("Caddyfile"), folder.join("resolv.conf"));
        let (ip, port) = (address.ip(), address.port());
        let text = format!(
            "{{\n admin off\n auto_https disable_redirects\n skip_install_trust\n default_sni {ip}\n \
             storage file_system {store:?}\n https_port {port}\n}}\n\
             https://{address} {{\n tls internal\n acme_server {{\n challenges tls-alpn-01\n }}\n}}\n"
        );
        std::fs::write(&config, text)?;
        std::fs::write(&resolver, format!("nameserver {dns}\n"))?;
        let args =
            ["run", "--adapter", "caddyfile", "--config", &config.to_string_lossy()].map(str::to_owned);
        let program = Program::system(&fetched("peer caddy")?.to_string_lossy()).named("caddy").args(args);
        // It asks the system's DNS servers whatever its configuration says, so it gets a system of its own.
        let script = "mount --bind \"$0\" /etc/resolv.conf && exec \"$@\"";
        let alone = ["unshare", "--mount", "--propagation=private", "sh", "-c", script];
        let words: Vec<_> = alone.into_iter().chain(resolver.to_str()).collect();
        // Nothing of the user's own is read or written.
        let home = folder.to_string_lossy();
        let program = program.env("HOME", &home).env("XDG_CONFIG_HOME", &home).under(&words);
        let mut process = program.start(folder)?;
        let root = store.join("pki/authorities/local/root.crt");
        let url = format!("https://{address}/acme/local/directory");
        let there = async || fetch(&url, &root, &[]).await.is_ok_and(|(status, _)| status == 200);
        process.until("there", there).await?;
        Ok(Self { url, root, process })
    }
}

/// Status of a GET by curl, which trusts `root` alone, and the certificates that it was shown in PEM, leaf first.
///
/// # Errors
/// Nobody answers, or who does has no certificate for the name.
pub async fn fetch(url: &str, root: &Path, more: &[&str]) -> Result<(u16, String)> {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--max-time", "5", "--output", "/dev/null"]);
    curl.args(["--write-out", "%{http_code} %{certs}", "--cacert"]).arg(root).args(more).arg(url);
    let output = curl.output().await?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    anyhow::ensure!(output.status.success(), "{url}: {}", String::from_utf8_lossy(&output.stderr).trim());
    let (status, shown) = said.split_once(' ').unwrap_or_default();
    // curl puts words about each before it.
    let begin = shown.find("-----BEGIN").unwrap_or_default();
    Ok((status.parse()?, shown[begin..].to_owned()))
}
