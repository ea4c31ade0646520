//! A running server of a comparison, whoever made it: where it listens, what it costs, its end.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use nearcast_tests::ports::Ports;
use nearcast_tests::process::{Process, Program};
use tokio::net::TcpStream;

use crate::cpu;
use crate::site::{Site, local};

/// The core that the servers run on; the load has another.
pub const CORE: &str = "0";

/// Its processes end when it is dropped.
#[derive(Debug)]
pub struct Server {
    /// With its version.
    pub name: String,
    /// HTTP/1.1 without TLS, if it is offered.
    pub plain: SocketAddr,
    /// HTTP/1.1, 2 and, where there is one, 3.
    pub secure: SocketAddr,
    processes: Vec<Process>,
    folder: PathBuf,
    _ports: Ports,
}

impl Server {
    /// A server without processes yet, with ports and a folder (`site.folder(key)`) of its own.
    pub fn new(key: &str, name: String, site: &Site) -> Result<Self> {
        let ports = Ports::claim()?;
        let (plain, secure) = (local(ports.take()?), local(ports.take()?));
        Ok(Self { name, plain, secure, processes: Vec::new(), folder: site.folder(key)?, _ports: ports })
    }

    /// Where its files are.
    pub fn folder(&self) -> &std::path::Path {
        &self.folder
    }

    /// Writes one of its files; returns the path.
    pub fn file(&self, name: &str, text: &str) -> Result<String> {
        let path = self.folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap_or(&self.folder))?;
        std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
        Ok(path.to_string_lossy().into_owned())
    }

    /// Starts one of its programs on [`CORE`] and waits until it listens on `address`.
    pub async fn run(&mut self, program: Program, address: SocketAddr) -> Result<&mut Process> {
        let mut process = program.under(&["taskset", "--cpu-list", CORE]).start(&self.folder)?;
        process.until("listening", async || TcpStream::connect(address).await.is_ok()).await?;
        self.processes.push(process);
        self.processes.last_mut().context("it was just pushed")
    }

    /// Seconds of CPU that all its processes have used.
    pub fn cpu(&self) -> f64 {
        // One that has just ended is counted with its parent the next time.
        self.ids().into_iter().filter_map(|id| cpu::seconds_with_children(id).ok()).sum()
    }

    /// Ids of all its processes.
    pub fn ids(&self) -> Vec<i32> {
        self.processes.iter().flat_map(|process| cpu::tree(process.id())).collect()
    }

    /// Base URL.
    pub fn base(&self, secure: bool) -> String {
        if secure { format!("https://{}", self.secure) } else { format!("http://{}", self.plain) }
    }

    /// Ends its processes, the first one last, and waits for them.
    pub async fn stop(mut self) -> Result<()> {
        while let Some(mut process) = self.processes.pop() {
            process.kill().await?;
        }
        Ok(())
    }
}
