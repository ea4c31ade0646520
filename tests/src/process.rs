//! A program that a test or the runner started: its log, its health, its end.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process, kill_process_group, test_kill_process};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{interval, timeout};

/// A running program, leader of its own process group. Dropping it kills the group.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    group: Pid,
    /// The process that has taken its place, in the same group.
    successor: Option<Pid>,
    log: PathBuf,
}

/// What to start.
#[derive(Debug)]
pub struct Program {
    name: String,
    path: PathBuf,
    args: Vec<String>,
    env: Vec<(String, String)>,
    /// Words before the program: `taskset -c 0`.
    wrapper: Vec<String>,
    stdin: Stdio,
}

impl Program {
    /// One of our own, from beside the running one.
    pub fn ours(name: &str) -> Result<Self> {
        let path = bin_dir()?.join(name);
        if !path.exists() {
            bail!("{} is not built: run `cargo build --workspace --bins`", path.display());
        }
        Ok(Self { path, ..Self::system(name) })
    }

    /// One of the system's, from the PATH.
    pub fn system(name: &str) -> Self {
        let (name, path) = (name.to_owned(), name.into());
        Self { name, path, args: Vec::new(), env: Vec::new(), wrapper: Vec::new(), stdin: Stdio::null() }
    }

    /// The name that errors and the log file carry, when several of one program run.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    #[must_use]
    pub fn args<S: Into<String>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Runs under `words`, a program that replaces itself with ours: `taskset -c 0`, `unshare --mount`.
    #[must_use]
    pub fn under(mut self, words: &[&str]) -> Self {
        self.wrapper = words.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    /// Lets the caller write to the program: see [`Process::stdin`].
    #[must_use]
    pub fn piped(mut self) -> Self {
        self.stdin = Stdio::piped();
        self
    }

    /// Starts it with output to `{logs}/{name}.log`. It dies with the thread that starts it, whatever way
    /// that ends.
    pub fn start(self, logs: &Path) -> Result<Process> {
        std::fs::create_dir_all(logs)?;
        let log = logs.join(format!("{}.log", self.name));
        let out = File::options().create(true).append(true).open(&log)?;
        // prctl(PR_SET_PDEATHSIG) by util-linux, which is on every Debian: no unsafe of our own.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).args(&self.wrapper).arg(&self.path).args(&self.args);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("NEARCAST_")) {
            command.env_remove(name);
        }
        command.envs(self.env).process_group(0).kill_on_drop(true);
        command.stdin(self.stdin).stdout(out.try_clone()?).stderr(out);
        let child = command.spawn().with_context(|| format!("starting {}", self.name))?;
        let id = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let group = id.context("a process without id")?;
        Ok(Process { group, successor: None, name: self.name, child, log })
    }
}

impl Process {
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Process id.
    pub fn id(&self) -> i32 {
        self.successor.unwrap_or(self.group).as_raw_nonzero().get()
    }

    /// Has a new process of its program take its place (SIGUSR2), and returns once that one is ready.
    pub async fn replace(&mut self, ops: SocketAddr) -> Result<()> {
        let taken = || self.log().matches("taking over from another process").count();
        let (before, old) = (taken(), self.successor.unwrap_or(self.group));
        kill_process(old, Signal::USR2)?;
        let mut tick = interval(POLL);
        let started = async {
            loop {
                if let Some(child) = self.children().into_iter().find_map(Pid::from_raw) {
                    break child;
                }
                tick.tick().await;
            }
        };
        let new = timeout(START_LIMIT, started).await.context("no process has been started")?;
        let ready = async {
            while taken() == before || http_status(ops, "/readyz").await.unwrap_or(0) != 200 {
                tick.tick().await;
            }
        };
        let waited = timeout(START_LIMIT, ready).await;
        waited.with_context(|| format!("{} was not replaced:\n{}", self.name, self.last_words()))?;
        self.successor = Some(new);
        Ok(())
    }

    /// Ids of the processes that it has started and that it has not waited for.
    pub fn children(&self) -> Vec<i32> {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.id())).into_iter().flatten().flatten();
        // A thread may end while it is looked at.
        let of = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("children"));
        let text: String = tasks.filter_map(|task| of(task).ok()).collect();
        text.split_whitespace().filter_map(|id| id.parse().ok()).collect()
    }

    /// Where its output goes.
    pub fn log_path(&self) -> &Path {
        &self.log
    }

    /// All it has written.
    pub fn log(&self) -> String {
        std::fs::read(&self.log).map(|text| String::from_utf8_lossy(&text).into_owned()).unwrap_or_default()
    }

    /// Its input, when it was [`Program::piped`].
    pub fn stdin(&mut self) -> Result<tokio::process::ChildStdin> {
        self.child.stdin.take().with_context(|| format!("{} has no piped input", self.name))
    }

    /// Returns once `http://{ops}/readyz` says 200; fails with its last words when it exits before.
    pub async fn ready(&mut self, ops: SocketAddr) -> Result<()> {
        self.until("ready", async move || http_status(ops, "/readyz").await.is_ok_and(|status| status == 200))
            .await
    }

    /// Returns once `done` says so, asked 40 times a second; fails when the process exits or 30 s pass.
    pub async fn until(&mut self, what: &str, mut done: impl AsyncFnMut() -> bool) -> Result<()> {
        let mut tick = interval(POLL);
        let poll = async {
            while !done().await {
                tick.tick().await;
            }
        };
        let outcome = tokio::select! {
            () = poll => return Ok(()),
            status = self.child.wait() => format!("ended with {}", status?),
            () = tokio::time::sleep(START_LIMIT) => format!("is not {what} after {START_LIMIT:?}"),
        };
        bail!("{} {outcome}:\n{}", self.name, self.last_words());
    }

    /// True while it runs.
    pub fn running(&mut self) -> bool {
        match self.successor {
            Some(process) => test_kill_process(process).is_ok(),
            None => matches!(self.child.try_wait(), Ok(None)),
        }
    }

    /// Waits for it to end, however long that takes; says how.
    pub async fn exit(&mut self) -> String {
        self.child.wait().await.map_or_else(|error| error.to_string(), |status| status.to_string())
    }

    /// Waits for it to end by itself.
    pub async fn ended(&mut self, limit: Duration) -> Result<ExitStatus> {
        let status = timeout(limit, self.child.wait()).await;
        Ok(status.with_context(|| format!("{} still runs after {limit:?}", self.name))??)
    }

    /// Asks it to stop (SIGTERM) and waits.
    pub async fn stop(&mut self, limit: Duration) -> Result<ExitStatus> {
        self.signal(Signal::TERM);
        let mut tick = interval(POLL);
        let gone = async {
            // Nobody here is told how a successor ends, as its parent has ended before.
            while self.successor.is_some() && self.running() {
                tick.tick().await;
            }
        };
        timeout(limit, gone).await.with_context(|| format!("{} still runs after {limit:?}", self.name))?;
        self.ended(limit).await
    }

    /// Ends it at once (SIGKILL), children too.
    pub async fn kill(&mut self) -> Result<()> {
        self.signal(Signal::KILL);
        self.child.wait().await?;
        Ok(())
    }

    /// Signals the whole group; one that is gone already is fine.
    pub fn signal(&self, signal: Signal) {
        let _ = kill_process_group(self.group, signal);
    }

    /// The end of its log, for a message.
    pub fn last_words(&self) -> String {
        let tail = || -> std::io::Result<String> {
            let mut file = File::open(&self.log)?;
            let len = file.metadata()?.len();
            file.seek(SeekFrom::Start(len.saturating_sub(4096)))?;
            let mut text = Vec::new();
            file.read_to_end(&mut text)?;
            Ok(String::from_utf8_lossy(&text).into_owned())
        };
        let text = tail().unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let from = lines.len().saturating_sub(15);
        lines.get(from..).unwrap_or_default().iter().map(|line| format!("    {line}\n")).collect()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.running() {
            self.signal(Signal::KILL);
        }
    }
}

/// One of our daemons with this configuration, as soon as it is ready.
pub async fn daemon(
    program: &str,
    name: &str,
    config: &Path,
    ops: SocketAddr,
    logs: &Path,
) -> Result<Process> {
    let args = ["--config".to_owned(), config.to_string_lossy().into_owned()];
    let mut process = Program::ours(program)?.named(name).args(args).start(logs)?;
    process.ready(ops).await?;
    Ok(process)
}

/// Status of `GET http://{address}{path}`, in as little code as a readiness check needs.
pub async fn http_status(address: SocketAddr, path: &str) -> Result<u16> {
    let ask = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes()).await?;
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    let answer = timeout(Duration::from_secs(1), ask).await??;
    Ok(std::str::from_utf8(&answer)?.split(' ').nth(1).context("no status")?.parse()?)
}

/// The folder of our programs: that of the running one, or above it for test programs.
pub fn bin_dir() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let folder = own.parent().context("a program without folder")?;
    let folder = if folder.ends_with("deps") { folder.parent().unwrap_or(folder) } else { folder };
    Ok(folder.to_owned())
}

const POLL: Duration = Duration::from_millis(25);
/// A busy machine of two cores starts a debug build in two or three seconds.
const START_LIMIT: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_dropped_process_is_gone_with_its_children() {
        let logs = tempfile::tempdir().unwrap();
        let mut process =
            Program::system("sh").args(["-c", "sleep 60 & echo $!; wait"]).start(logs.path()).unwrap();
        let file = process.log_path().to_owned();
        let child = async || std::fs::read_to_string(&file).is_ok_and(|text| text.ends_with('\n'));
        process.until("started", child).await.unwrap();
        let child: i32 = process.log().trim().parse().unwrap();
        let mut parent = process;
        parent.kill().await.unwrap();
        drop(parent);
        // The signal reaches all at once, each takes its own moment to go; then it may be a zombie of init's.
        let state = || std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
        let mut tick = interval(POLL);
        let gone = async {
            while !(state().is_empty() || state().contains(") Z")) {
                tick.tick().await;
            }
        };
        timeout(Duration::from_secs(5), gone).await.unwrap();
    }

    #[tokio::test]
    async fn a_program_that_ends_early_is_quoted() {
        let logs = tempfile::tempdir().unwrap();
        let words = "echo no such luck; exit 3";
        let mut process = Program::system("sh").named("luck").args(["-c", words]).start(logs.path()).unwrap();
        let error = process.until("ready", async || false).await.unwrap_err().to_string();
        assert!(
            error.contains("luck ended with exit status: 3") && error.contains("no such luck"),
            "{error}"
        );
    }
}
