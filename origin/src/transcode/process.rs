//! One life of a child process: frames into its stdin, replies out of its stdout, its last words from stderr.

use std::path::Path;
use std::pin::pin;
use std::process::Stdio;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use super::child;
use super::supervisor::{Inputs, Sink};
use super::wire::{self, Input, Reply, Request, Start};
use crate::error::{Error, Result};

/// A running child. Dropping it kills it.
pub(super) struct Process {
    child: Child,
    stdin: ChildStdin,
    stdout: ChildStdout,
    stderr: ChildStderr,
}

impl Process {
    /// Starts `program`, or this very binary when it is empty.
    pub(super) fn spawn(program: &Path) -> Result<Self> {
        // The running image: right even when an upgrade has replaced the file.
        let itself = program.as_os_str().is_empty().then_some(Path::new("/proc/self/exe"));
        let mut command = Command::new(itself.unwrap_or(program));
        command.arg0("nearcast-origin").arg(child::SUBCOMMAND);
        // Tokens in the configuration are no business of a process that parses strangers' bitstreams.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with(nearcast_service::config::ENV_PREFIX) {
                command.env_remove(name);
            }
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        // A Ctrl-C in a terminal goes to a whole group; the origin tells its children itself.
        command.process_group(0);
        let mut child = command.spawn().map_err(Error::SpawnTranscoder)?;
        match (child.stdin.take(), child.stdout.take(), child.stderr.take()) {
            (Some(stdin), Some(stdout), Some(stderr)) => Ok(Self { child, stdin, stdout, stderr }),
            _ => Err(Error::SpawnTranscoder(std::io::ErrorKind::BrokenPipe.into())),
        }
    }

    /// The process id while it runs.
    pub(super) fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Feeds the child until the input ends and it has given all it had.
    ///
    /// # Errors
    /// The child ended early, hangs, or breaks the protocol. It is dead then.
    pub(super) async fn run(
        self,
        start: Start,
        first: Input,
        inputs: &mut Inputs,
        sink: &Sink,
    ) -> Result<()> {
        let Self { mut child, stdin, stdout, stderr } = self;
        let mut last_words = LastWords { stderr, tail: Vec::new() };
        let talked = tokio::select! {
            talked = talk(stdin, stdout, start, first, inputs, sink) => talked,
            never = last_words.collect() => match never {},
        };
        if talked.as_ref().is_err_and(|error| !matches!(error, Error::TranscoderGone)) {
            child.kill().await.map_err(Error::SpawnTranscoder)?;
            return talked;
        }
        // It has closed its stdout, so it is about to exit.
        let Ok(status) = timeout(EXIT, child.wait()).await else { return Err(Error::TranscoderStuck) };
        let status = status.map_err(Error::SpawnTranscoder)?;
        if talked.is_ok() && status.success() {
            return Ok(());
        }
        let _timed_out = timeout(EXIT, last_words.finish()).await;
        Err(Error::Transcoder { status, words: last_words.line() })
    }
}

/// Both directions at once, until the child has answered everything.
async fn talk(
    stdin: ChildStdin,
    stdout: ChildStdout,
    start: Start,
    first: Input,
    inputs: &mut Inputs,
    sink: &Sink,
) -> Result<()> {
    let mut read = pin!(read(stdout, sink));
    tokio::select! {
        fed = feed(stdin, start, first, inputs) => fed?,
        read = &mut read => return read.and(Err(Error::TranscoderGone)),
    }
    timeout(FLUSH, read).await.unwrap_or(Err(Error::TranscoderStuck))
}

/// Writes until the input ends, and closes the pipe.
async fn feed(mut stdin: ChildStdin, start: Start, first: Input, inputs: &mut Inputs) -> Result<()> {
    let mut buffer = BytesMut::new();
    Request::Start(start).encode(&mut buffer);
    let mut next = Some(first);
    while let Some(input) = next {
        Request::Frame(input).encode(&mut buffer);
        write(&mut stdin, &mut buffer).await?;
        next = inputs.next().await;
    }
    Request::End.encode(&mut buffer);
    write(&mut stdin, &mut buffer).await
}

async fn write(stdin: &mut ChildStdin, buffer: &mut BytesMut) -> Result<()> {
    match timeout(STUCK, stdin.write_all(buffer)).await {
        Ok(Ok(())) => {
            buffer.clear();
            Ok(())
        }
        // A closed pipe: its exit status says more.
        Ok(Err(_)) => Err(Error::TranscoderGone),
        Err(_) => Err(Error::TranscoderStuck),
    }
}

/// Hands on what the child says until it closes its end.
async fn read(mut stdout: ChildStdout, sink: &Sink) -> Result<()> {
    let mut buffer = BytesMut::new();
    loop {
        while let Some(message) = wire::split(&mut buffer)? {
            sink.take(Reply::decode(message)?).await?;
        }
        buffer.reserve(READ_SIZE);
        match stdout.read_buf(&mut buffer).await {
            Ok(0) | Err(_) => return Ok(()),
            Ok(_) => {}
        }
    }
}

/// The end of what a child wrote to stderr, which is taken all the time so that it never blocks there.
struct LastWords {
    stderr: ChildStderr,
    tail: Vec<u8>,
}

impl LastWords {
    /// Collects for as long as it is polled.
    async fn collect(&mut self) -> std::convert::Infallible {
        self.finish().await;
        std::future::pending().await
    }

    /// Collects up to the end.
    async fn finish(&mut self) {
        let mut chunk = [0; 512];
        while let Ok(length @ 1..) = self.stderr.read(&mut chunk).await {
            self.tail.extend_from_slice(&chunk[..length]);
            self.tail.drain(..self.tail.len().saturating_sub(TAIL));
        }
    }

    /// The last line, safe to print.
    fn line(&self) -> String {
        let text = String::from_utf8_lossy(&self.tail);
        let line = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it left no word");
        line.chars().filter(|c| !c.is_control()).collect()
    }
}

/// The largest read from the pipe; Linux pipes hold this much by default.
const READ_SIZE: usize = 64 << 10;

/// A child that takes nothing for this long hangs: its own queues hold two seconds.
const STUCK: Duration = Duration::from_secs(10);

/// What is left in decoder, queues and encoders is two seconds of video.
const FLUSH: Duration = Duration::from_secs(5);

/// From closed pipes to a reaped process.
const EXIT: Duration = Duration::from_secs(2);

/// Bytes kept of stderr.
const TAIL: usize = 1024;
