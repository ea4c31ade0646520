//! An edge of ours.

use anyhow::Result;
use nearcast_tests::ports::Ports;
use nearcast_tests::process::Program;

use crate::server::Server;
use crate::site::{Site, local};

/// Starts it as it is, with a runtime for its one core.
pub async fn start(site: &Site) -> Result<Server> {
    start_as("ours", "nearcast-edge", 1, site).await
}

/// Starts it with the pool that steals work, which on one core has one thread.
pub(super) async fn start_pool(site: &Site) -> Result<Server> {
    start_as("pool", super::Peer::Pool.name(), 0, site).await
}

async fn start_as(key: &str, name: &str, workers: u8, site: &Site) -> Result<Server> {
    let mut server = Server::new(key, name.into(), site)?;
    let ports = Ports::claim()?;
    let ops = local(ports.take()?);
    let config = format!(
        "[http]\nlisten = \"{}\"\nplain_listen = \"{}\"\nidle_timeout = 3600\nworkers = {workers}\n\
         [tls]\ncertificate = {:?}\nkey = {:?}\n\
         [follow]\nidle = 3600\n\
         [upstream]\norigins = [\"http://{}\"]\n\
         [control]\nurl = \"\"\nsnapshot = \"\"\n\
         [ops]\nlisten = \"{ops}\"\n\
         [log]\nlevel = \"warn\"\n",
        server.secure, server.plain, site.certificate.certificate, site.certificate.key, site.feeder.address
    );
    let file = server.file("edge.toml", &config)?;
    let program = Program::ours("nearcast-edge")?.args(["--config".to_owned(), file]);
    let plain = server.plain;
    server.run(program, plain).await?.ready(ops).await?;
    Ok(server)
}
