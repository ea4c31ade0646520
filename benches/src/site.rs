//! What all servers of a comparison share: where their files are, the origin, the certificate, the core.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Result;
use nearcast_tests::certificate::Certificate;
use nearcast_tests::ports::Ports;

use crate::feeder::Feeder;

/// Dropping it stops the origin and removes the files.
#[derive(Debug)]
pub struct Site {
    /// In memory where the machine has such a place: nothing that is compared reads a disk.
    pub folder: PathBuf,
    pub certificate: Certificate,
    pub feeder: Feeder,
    _ports: Ports,
}

impl Site {
    /// A folder for `name`, and an origin.
    pub async fn start(name: &str) -> Result<Self> {
        let memory = Path::new("/dev/shm");
        let parent = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let folder = parent.join(format!("nearcast-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let start = async {
            // hitch 1.7 ends when a client names a host and its certificate has no name.
            let certificate = Certificate::create(&folder, &["127.0.0.1", "localhost"])?;
            let ports = Ports::claim()?;
            let feeder = Feeder::start(local(ports.take()?)).await?;
            anyhow::Ok((certificate, feeder, ports))
        };
        match start.await {
            Ok((certificate, feeder, ports)) => Ok(Self { folder, certificate, feeder, _ports: ports }),
            Err(error) => {
                std::fs::remove_dir_all(&folder)?;
                Err(error)
            }
        }
    }

    /// A new folder for a server's own files.
    pub fn folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.folder.join(name);
        if folder.exists() {
            std::fs::remove_dir_all(&folder)?;
        }
        std::fs::create_dir_all(&folder)?;
        Ok(folder)
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        // What cannot be removed is said by whoever looks for space.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// `port` on loopback.
pub fn local(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}
