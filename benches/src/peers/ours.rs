//! An edge of ours.

use anyhow::Result;
use nearcast_tests::ports::Ports;
use nearcast_tests::process::Program;

use crate::server::Server;
use crate::site::{Site, local};

/// Starts it; one core makes one worker.
pub async fn start(site: &Site) -> Result<Server> {
    let mut server = Server::new("ours", "nearcast-edge".into(), site)?;
    let ports = Ports::claim()?;
    let ops = local(ports.take()?);
    let config = format!(
        "[http]\nlisten = \"{}\"\nplain_listen = \"{}\"\nidle_timeout = 3600\n\
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
