//! Replacing a running program: SIGUSR2 starts the file that is there now, which takes over the sockets and, once it is
//! ready, tells this process to drain.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use command_fds::{CommandFdExt, FdMapping};
use rustix::process::{Pid, Signal, getppid, kill_process};
use sd_notify::NotifyState;
use tokio::time::{Instant, sleep_until};

use super::Daemon;
use crate::log::Chain;
use crate::sockets::{COUNT, FIRST, Sockets};

/// What this process does when it is to be replaced.
#[derive(Debug)]
pub(super) struct Upgrade {
    program: Option<PathBuf>,
    args: Vec<OsString>,
    successor: Option<Successor>,
}

/// A process that is to take over.
#[derive(Debug)]
struct Successor {
    process: tokio::process::Child,
    deadline: Instant,
}

/// Set for a process that is to take over: whose place it takes.
const FROM: &str = "UPGRADE_FROM";
/// A successor that is not ready by then is stopped.
const PATIENCE: Duration = Duration::from_secs(60);

impl Upgrade {
    /// Remembers what was started: later the file at its path is another one.
    pub(super) fn new() -> Self {
        let args = std::env::args_os().skip(1).collect();
        Self { program: std::env::current_exe().ok(), args, successor: None }
    }

    /// Starts the successor, unless there is one.
    pub(super) fn begin(&mut self, sockets: &Sockets) {
        if self.successor.is_some() {
            return tracing::warn!("another process is taking over already");
        }
        match self.start(sockets) {
            Ok(successor) => {
                tracing::info!(pid = successor.process.id(), "another process is to take over");
                self.successor = Some(successor);
            }
            Err(error) => {
                sockets.keep();
                tracing::error!("no process can take over, this one goes on: {}", Chain(&error));
            }
        }
    }

    fn start(&self, sockets: &Sockets) -> io::Result<Successor> {
        let program = self.program.as_ref();
        let program = program.ok_or_else(|| io::Error::other("where the program is cannot be told"))?;
        let handed = sockets.hand_over()?;
        let mut command = Command::new(program);
        command.args(&self.args).stdin(Stdio::null());
        command.env(COUNT, handed.len().to_string()).env(FROM, std::process::id().to_string());
        for of_systemd in ["LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"] {
            command.env_remove(of_systemd);
        }
        let mappings = (FIRST..).zip(handed).map(|(child_fd, parent_fd)| FdMapping { parent_fd, child_fd });
        command.fd_mappings(mappings.collect()).map_err(io::Error::other)?;
        let process = tokio::process::Command::from(command).spawn()?;
        Ok(Successor { process, deadline: Instant::now() + PATIENCE })
    }

    /// Completes when a successor has failed, with the reason; never while there is none.
    pub(super) async fn failed(&mut self) -> String {
        let Some(Successor { process, deadline }) = &mut self.successor else {
            return std::future::pending().await;
        };
        let reason = tokio::select! {
            ended = process.wait() => match ended {
                Ok(status) => format!("it ended with {status}"),
                Err(error) => error.to_string(),
            },
            () = sleep_until(*deadline) => match process.kill().await {
                Ok(()) => format!("it was not ready within {} s", PATIENCE.as_secs()),
                Err(error) => error.to_string(),
            },
        };
        self.successor = None;
        reason
    }
}

/// Once this process is ready, tells the one whose place it takes to drain, and systemd that it is the one.
pub(super) async fn take_over(daemon: &Daemon) {
    daemon.ready.opened().await;
    if let Some(before) = predecessor() {
        tracing::info!(pid = before.as_raw_nonzero(), "taking over from another process");
        if let Err(error) = kill_process(before, Signal::TERM) {
            tracing::warn!("the process before cannot be told to drain: {}", Chain(&error));
        }
    }
    daemon.sockets.take_turn();
    // Without systemd nobody is told, which is no failure.
    if let Err(error) = sd_notify::notify(&[NotifyState::MainPid(std::process::id()), NotifyState::Ready]) {
        tracing::warn!("systemd cannot be told that this process is ready: {}", Chain(&error));
    }
}

/// The process whose place this one takes, as long as it is there.
fn predecessor() -> Option<Pid> {
    let named = std::env::var(FROM).ok()?.parse().ok().and_then(Pid::from_raw)?;
    getppid().filter(|parent| *parent == named)
}
