//! A daemon's life from command line to exit code.

mod upgrade;

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::config;
use crate::drain::{self, Drain};
use crate::log::{self, Chain};
use crate::sockets::Sockets;
use crate::{Error, Result, cli, metrics, ops, panics, process, ready};

use upgrade::Upgrade;

/// A daemon's whole configuration: its own sections beside the three that every daemon has.
pub trait Config: Default + Serialize + DeserializeOwned {
    /// Keys whose values are not printed; a table's stands for all in it.
    const SECRETS: &'static [&'static str] = &["control.token", "control.enrolment_token"];
    /// Another process may take over its sockets while it serves (SIGUSR2).
    const UPGRADES: bool = false;

    /// `[log]`
    fn log(&self) -> &log::Config;
    /// `[ops]`
    fn ops(&self) -> &ops::Config;
    /// `[drain]`
    fn drain(&self) -> &drain::Config;
    /// What no single key can tell: one line that says what cannot work and what to change.
    fn check(&self) -> Result<(), String> {
        Ok(())
    }
}

/// What a running daemon hands to its parts. Clones are the same daemon.
#[derive(Debug, Clone)]
pub struct Daemon {
    /// Spawns and stops tasks.
    pub drain: Drain,
    /// Where parts register what they count.
    pub metrics: metrics::Registry,
    /// Closed while a part holds it, for `/readyz`.
    pub ready: ready::Latch,
    /// What it listens on.
    pub sockets: Sockets,
    failure: Arc<Mutex<Option<String>>>,
}

/// Runs a daemon: the body of every `main`. `run` starts all parts (bind first, then spawn through
/// [`Daemon::drain`]) and returns; the process then is ready, lives until SIGTERM, SIGINT or
/// [`Daemon::fail`], and drains.
///
/// Exit codes: 0 after a drain, 1 when `run` or a part failed, 2 when the command line or configuration is wrong.
pub fn main<C, E>(
    name: &'static str,
    version: &'static str,
    run: impl AsyncFnOnce(C, Daemon) -> Result<(), E>,
) -> ExitCode
where
    C: Config,
    E: std::error::Error + 'static,
{
    let config: C =
        match cli::parse(std::env::args_os().skip(1)).and_then(|command| prepare(name, version, command)) {
            Ok(Some(config)) => config,
            Ok(None) => return ExitCode::SUCCESS,
            Err(message) => {
                cli::complain(&format!("{name}: {message}"));
                return ExitCode::from(2);
            }
        };
    let sockets = Sockets::inherit();
    log::init(config.log());
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(name, &Error::Runtime(error)),
    };
    let code = runtime.block_on(live(name, version, config, sockets, run));
    // What outlived the drain's deadline is cut here.
    runtime.shutdown_timeout(Duration::from_millis(100));
    code
}

impl Daemon {
    /// A daemon with nothing in it; [`main`] makes one, and so do tests that run parts in their own process.
    pub fn new() -> Self {
        let drain = Drain::new();
        Self {
            ready: ready::Latch::new(drain.clone()),
            drain,
            metrics: metrics::Registry::new(),
            sockets: Sockets::default(),
            failure: Arc::default(),
        }
    }

    /// A part cannot go on and the process is no use without it: drain, and exit with code 1.
    pub fn fail(&self, error: &(dyn std::error::Error + 'static)) {
        let reason = Chain(error).to_string();
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(reason);
        self.drain.begin();
    }

    fn failure(&self) -> Option<String> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Default for Daemon {
    fn default() -> Self {
        Self::new()
    }
}

/// Does what the command line asks; a configuration comes back when that is to run.
fn prepare<C: Config>(name: &str, version: &str, command: cli::Command) -> Result<Option<C>, String> {
    let (file, check) = match command {
        cli::Command::Help => return cli::print(&cli::help(name)).map(|()| None),
        cli::Command::Version => return cli::print(&format!("{name} {version}\n")).map(|()| None),
        cli::Command::Run { config } => (config, false),
        cli::Command::Check { config } => (config, true),
    };
    let env = std::env::vars_os().filter_map(|(name, value)| Some((text(name)?, text(value)?)));
    let config: C = config::load(file.as_deref(), env).map_err(|error| Chain(&error).to_string())?;
    let checked = config.log().check().and_then(|()| config.check());
    checked.map_err(|problem| Error::ConfigCheck(problem).to_string())?;
    if check {
        let text = config::show(&config, C::SECRETS).map_err(|error| Chain(&error).to_string())?;
        return cli::print(&text).map(|()| None);
    }
    Ok(Some(config))
}

async fn live<C, E>(
    name: &'static str,
    version: &'static str,
    config: C,
    sockets: Sockets,
    run: impl AsyncFnOnce(C, Daemon) -> Result<(), E>,
) -> ExitCode
where
    C: Config,
    E: std::error::Error + 'static,
{
    let daemon = Daemon { sockets, ..Daemon::new() };
    let mut upgrade = Upgrade::new();
    let deadline = config.drain().deadline();
    let signals = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
        signal(SignalKind::user_defined2()),
    );
    let (mut terminate, mut interrupt, mut replace) = match signals {
        (Ok(terminate), Ok(interrupt), Ok(replace)) => (terminate, interrupt, replace),
        (Err(error), ..) | (_, Err(error), _) | (.., Err(error)) => {
            return failed(name, &Error::Runtime(error));
        }
    };
    // By default SIGHUP ends a process at once. Here it only ever means "read the certificate again", which
    // `tls` does where there is one to read.
    if let Err(error) = signal(SignalKind::hangup()) {
        return failed(name, &Error::Runtime(error));
    }
    panics::watch(&daemon.metrics);
    process::register(&daemon.metrics, version);

    let starting = daemon.ready.hold();
    if let Err(error) = ops::serve(config.ops(), &daemon).await {
        return failed(name, &error);
    }
    tokio::select! {
        started = run(config, daemon.clone()) => if let Err(error) = started {
            return failed(name, &error);
        },
        // A start that hangs must not keep the process from being stopped.
        signal = either(&mut terminate, &mut interrupt) => {
            tracing::info!(signal, "{name} was told to stop while it was starting");
            return ExitCode::SUCCESS;
        }
    }
    drop(starting);
    let unclaimed = daemon.sockets.unclaimed();
    if !unclaimed.is_empty() {
        tracing::warn!(
            ?unclaimed,
            "sockets were handed over that the configuration has no use for: they are closed"
        );
    }
    tracing::info!(version, "{name} is up");
    let taking_over = daemon.clone();
    daemon.drain.spawn("takeover", async move {
        taking_over.drain.unless_draining(upgrade::take_over(&taking_over)).await
    });

    loop {
        tokio::select! {
            signal = either(&mut terminate, &mut interrupt) => {
                tracing::info!(signal, deadline_s = deadline.as_secs(), "{name} drains");
                break;
            }
            () = daemon.drain.draining() => break,
            _ = replace.recv() => match C::UPGRADES {
                true => upgrade.begin(&daemon.sockets),
                false => tracing::warn!("{name} cannot be replaced while it runs: stop it and start it again"),
            },
            reason = upgrade.failed() => {
                daemon.sockets.keep();
                tracing::error!("no process has taken over, this one goes on: {reason}");
            }
        }
    }
    daemon.sockets.leave();
    daemon.drain.begin();
    tokio::select! {
        drained = daemon.drain.wait(deadline) => match drained {
            Ok(()) => tracing::info!("{name} has drained"),
            Err(left) => tracing::warn!(%left, "{name} cuts what did not finish within the drain deadline"),
        },
        signal = either(&mut terminate, &mut interrupt) => {
            tracing::warn!(signal, "{name} was told to stop again and does so at once");
        }
    }
    match daemon.failure() {
        Some(reason) => {
            tracing::error!("{name} stopped: {reason}");
            ExitCode::FAILURE
        }
        None => ExitCode::SUCCESS,
    }
}

async fn either(terminate: &mut Signal, interrupt: &mut Signal) -> &'static str {
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    }
}

fn failed(name: &str, error: &(dyn std::error::Error + 'static)) -> ExitCode {
    tracing::error!("{name} cannot start: {}", Chain(error));
    ExitCode::FAILURE
}

fn text(value: OsString) -> Option<String> {
    value.into_string().ok()
}

#[cfg(test)]
mod tests;
