//! Varnish with its objects in memory, and hitch for TLS in front of it on a socket of the file system.

use anyhow::Result;
use nearcast_tests::process::Program;

use super::{installed, version};
use crate::server::Server;
use crate::site::Site;

pub(super) async fn start(site: &Site) -> Result<Server> {
    let (varnishd, hitch) = (installed("varnishd")?, installed("hitch")?);
    let versions = (version(&varnishd, "-V")?, version(&hitch, "--version")?);
    let mut server =
        Server::new("varnish", format!("varnish {} (TLS: hitch {})", versions.0, versions.1), site)?;
    let (origin, plain, secure) = (site.feeder.address, server.plain, server.secure);
    let vcl = server.file(
        "default.vcl",
        &format!(
            "vcl 4.1;\nbackend default {{ .host = \"{}\"; .port = \"{}\"; }}\n",
            origin.ip(),
            origin.port()
        ),
    )?;
    let socket = server.folder().join("hitch.sock").display().to_string();
    let state = server.folder().join("state").display().to_string();
    let (listen, behind) = (plain.to_string(), format!("{socket},PROXY,mode=666"));
    let program = Program::system(&varnishd.to_string_lossy()).named("varnishd").args([
        "-F",
        "-j",
        "none",
        "-n",
        &state,
        "-f",
        &vcl,
        "-s",
        "malloc,512m",
        "-a",
        &listen,
        "-a",
        &behind,
        "-p",
        "thread_pools=1",
        "-p",
        "feature=+http2",
        "-p",
        "timeout_idle=3600",
        "-p",
        "listen_depth=4096",
        // A crowd is not to be turned away.
        "-p",
        "thread_queue_limit=100000",
    ]);
    server.run(program, plain).await?;

    let (certificate, key) = (site.certificate.certificate.display(), site.certificate.key.display());
    // Hitch does not run as root.
    let user = if rustix::process::geteuid().is_root() { "user = \"_hitch\"\n" } else { "" };
    let config = format!(
        "frontend = {{ host = \"{}\" port = \"{}\" }}
backend = \"{socket}\"
pem-file = {{ cert = \"{certificate}\" private-key = \"{key}\" }}
ocsp-dir = \"\"
workers = 1
daemon = off
alpn-protos = \"h2,http/1.1\"
tls-protos = TLSv1.3
write-proxy-v2 = on
backlog = 4096
{user}",
        secure.ip(),
        secure.port()
    );
    let file = server.file("hitch.conf", &config)?;
    let program = Program::system(&hitch.to_string_lossy()).named("hitch").args([format!("--config={file}")]);
    server.run(program, secure).await?;
    Ok(server)
}
