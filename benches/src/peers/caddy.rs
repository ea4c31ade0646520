//! Caddy: it has no cache, so it serves the same objects as files in memory.

use anyhow::Result;
use nearcast_tests::process::Program;

use super::{fetched, version};
use crate::server::Server;
use crate::site::Site;

pub(super) async fn start(site: &Site) -> Result<Server> {
    let caddy = fetched("caddy")?;
    let mut server = Server::new("caddy", format!("caddy {} (files)", version(&caddy, "version")?), site)?;
    site.feeder.store(server.folder())?;
    let folder = server.folder().display().to_string();
    let (secure, plain) = (server.secure, server.plain);
    let (certificate, key) = (site.certificate.certificate.display(), site.certificate.key.display());
    let serve = format!(
        "    bind {}\n    root * {folder}\n    header Cache-Control \"public, max-age=3600\"\n    file_server\n",
        secure.ip()
    );
    let config = format!(
        "{{\n    admin off\n    auto_https off\n    persist_config off\n    servers {{\n        timeouts {{\n            \
         idle 1h\n        }}\n    }}\n}}\n\
         https://{secure} {{\n    tls {certificate} {key}\n{serve}}}\nhttp://{plain} {{\n{serve}}}\n"
    );
    let file = server.file("Caddyfile", &config)?;
    let args = ["run", "--adapter", "caddyfile", "--config", &file];
    let program = Program::system(&caddy.to_string_lossy()).named("caddy").args(args);
    // One core is one worker.
    let program = program.env("GOMAXPROCS", "1").env("HOME", &folder).env("XDG_DATA_HOME", &folder);
    server.run(program, secure).await?;
    Ok(server)
}
