//! One life of a child process: frames into its stdin, replies out of its stdout, its last words from stderr.

mod ask;

use std::path::Path;
use std::pin::pin;
use std::process::Stdio;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use super::inputs::{Inputs, Next};
use super::sink::Sink;
use super::supervisor::rest;
use super::wire::{self, Reply, Request};
use super::{Demand, child};
use crate::error::{Error, Result};

/// A running child. Dropping it kills it.
pub(crate) struct Process {
    child: Child,
    stdin: ChildStdin,
    stdout: ChildStdout,
    stderr: ChildStderr,
}

/// Why a child's life ended well.
pub(super) enum Done {
    /// There is no more input, and it has given all it had.
    Ended,
    /// Other rungs are wanted than it makes.
    Changed,
    /// The next frame is of another source; the child has given all it had.
    Source,
}

impl Process {
    /// Starts `program`, or this very binary when it is empty.
    pub(crate) fn spawn(program: &Path) -> Result<Self> {
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

    /// Asks whether `encoder` works; `Err` says why not.
    pub(super) async fn probe(self, encoder: wire::Encoder) -> Result<()> {
        let Self { mut child, mut stdin, stdout: _stdout, stderr } = self;
        let mut buffer = BytesMut::new();
        Request::Probe(encoder).encode(&mut buffer);
        write(&mut stdin, &mut buffer).await?;
        let mut last_words = LastWords { stderr, tail: Vec::new() };
        let ended = async {
            last_words.finish().await;
            child.wait().await
        };
        // A driver that hangs is none.
        let Ok(status) = timeout(PROBE, ended).await else { return Err(Error::TranscoderStuck) };
        let status = status.map_err(Error::SpawnTranscoder)?;
        if status.success() { Ok(()) } else { Err(Error::Transcoder { status, words: last_words.line() }) }
    }

    /// The process id while it runs.
    pub(super) fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Feeds the child, which makes the rungs that are `wanted`, for as long as it is the right one.
    ///
    /// # Errors
    /// The child ended early, hangs, or breaks the protocol. It is dead then.
    pub(super) async fn run(
        self,
        start: Request,
        wanted: u8,
        awake: &mut u8,
        inputs: &mut Inputs,
        demand: &Demand,
        sink: &Sink,
    ) -> Result<Done> {
        let Self { mut child, stdin, stdout, stderr } = self;
        let mut last_words = LastWords { stderr, tail: Vec::new() };
        let feeder = Feeder { stdin, wanted, awake, inputs, demand, sink };
        let talked = tokio::select! {
            talked = talk(feeder, stdout, start, sink) => talked,
            never = last_words.collect() => match never {},
        };
        let closed = matches!(talked, Ok(Done::Ended | Done::Source) | Err(Error::TranscoderGone));
        if !closed {
            // What it has not said yet the next one will.
            child.kill().await.map_err(Error::SpawnTranscoder)?;
            return talked;
        }
        // It has closed its stdout, so it is about to exit.
        let Ok(status) = timeout(EXIT, child.wait()).await else { return Err(Error::TranscoderStuck) };
        let status = status.map_err(Error::SpawnTranscoder)?;
        if status.success() {
            return talked;
        }
        let _timed_out = timeout(EXIT, last_words.finish()).await;
        Err(Error::Transcoder { status, words: last_words.line() })
    }
}

/// Both directions at once, until the child has answered everything or need not.
async fn talk(feeder: Feeder<'_>, stdout: ChildStdout, start: Request, sink: &Sink) -> Result<Done> {
    let mut read = pin!(read(stdout, sink));
    let done = tokio::select! {
        fed = feeder.feed(start) => fed?,
        read = &mut read => return read.and(Err(Error::TranscoderGone)),
    };
    if let Done::Changed = done {
        return Ok(done);
    }
    timeout(FLUSH, read).await.unwrap_or(Err(Error::TranscoderStuck))?;
    Ok(done)
}

/// What writes to the child.
struct Feeder<'a> {
    stdin: ChildStdin,
    wanted: u8,
    awake: &'a mut u8,
    inputs: &'a mut Inputs,
    demand: &'a Demand,
    sink: &'a Sink,
}

impl Feeder<'_> {
    /// Writes until the input ends or the child is not the right one any more, and closes the pipe.
    async fn feed(mut self, start: Request) -> Result<Done> {
        let mut buffer = BytesMut::new();
        start.encode(&mut buffer);
        for input in self.inputs.backlog() {
            Request::Frame(input).encode(&mut buffer);
            write(&mut self.stdin, &mut buffer).await?;
        }
        loop {
            let next = tokio::select! {
                next = self.inputs.next() => next,
                () = self.demand.changed() => Some(Next::Nothing),
            };
            match next {
                Some(Next::Frame(input)) => Request::Frame(input).encode(&mut buffer),
                Some(Next::Nothing) => {}
                Some(Next::Source) => return self.end(buffer, Done::Source).await,
                None => return self.end(buffer, Done::Ended).await,
            }
            if !self.suits(&mut buffer).await? {
                return Ok(Done::Changed);
            }
            write(&mut self.stdin, &mut buffer).await?;
        }
    }

    /// Whether the child makes what is wanted; says what it need not make any more.
    async fn suits(&mut self, buffer: &mut BytesMut) -> Result<bool> {
        let wanted = self.demand.settle();
        let idle = wanted == 0 && self.sink.all_described();
        if idle || wanted & !self.wanted != 0 {
            return Ok(false);
        }
        if wanted != self.wanted {
            rest(self.wanted & !wanted, self.awake, self.sink).await?;
            Request::Wanted { rungs: wanted }.encode(buffer);
            self.wanted = wanted;
        }
        Ok(true)
    }

    async fn end(mut self, mut buffer: BytesMut, done: Done) -> Result<Done> {
        Request::End.encode(&mut buffer);
        write(&mut self.stdin, &mut buffer).await?;
        Ok(done)
    }
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

/// For a device to be opened and to encode one picture.
const PROBE: Duration = Duration::from_secs(10);

/// Bytes kept of stderr.
const TAIL: usize = 1024;
