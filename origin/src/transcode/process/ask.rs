//! One question to a child, and its answer.

use std::time::Duration;

use bytes::BytesMut;
use tokio::io::AsyncReadExt;
use tokio::process::ChildStdout;
use tokio::time::timeout;

use super::{EXIT, LastWords, Process, READ_SIZE, write};
use crate::error::{Error, Result};
use crate::transcode::wire::{self, Reply};

impl Process {
    /// Sends the messages of `question` and returns what comes of them within `limit`: one message or two. The child
    /// has ended then, or is killed.
    ///
    /// # Errors
    /// It ended without an answer, takes too long, or breaks the protocol.
    pub(crate) async fn ask(self, mut question: BytesMut, limit: Duration) -> Result<Vec<Reply>> {
        let Self { mut child, mut stdin, mut stdout, stderr } = self;
        let mut last_words = LastWords { stderr, tail: Vec::new() };
        let talk = async {
            // A child that does not read to the end has a reason, and says it by its exit status.
            let written = write(&mut stdin, &mut question).await;
            drop(stdin);
            match answer(&mut stdout).await {
                Err(Error::TranscoderGone) => written.and(Err(Error::TranscoderGone)),
                answer => answer,
            }
        };
        let talked = tokio::select! {
            talked = timeout(limit, talk) => talked.unwrap_or(Err(Error::TranscoderStuck)),
            never = last_words.collect() => match never {},
        };
        let ended = match &talked {
            Ok(_) | Err(Error::TranscoderGone) => timeout(EXIT, child.wait()).await.ok(),
            Err(_) => None,
        };
        let Some(status) = ended else {
            child.kill().await.map_err(Error::SpawnTranscoder)?;
            return talked;
        };
        let status = status.map_err(Error::SpawnTranscoder)?;
        if !matches!(talked, Err(Error::TranscoderGone)) {
            return talked;
        }
        let _timed_out = timeout(EXIT, last_words.finish()).await;
        Err(Error::Transcoder { status, words: last_words.line() })
    }
}

/// All it says.
async fn answer(stdout: &mut ChildStdout) -> Result<Vec<Reply>> {
    let (mut buffer, mut replies) = (BytesMut::new(), Vec::new());
    loop {
        while let Some(message) = wire::split(&mut buffer)? {
            if replies.len() == MAX_REPLIES {
                return Err(wire::Error::Picture.into());
            }
            replies.push(Reply::decode(message)?);
        }
        buffer.reserve(READ_SIZE);
        match stdout.read_buf(&mut buffer).await {
            Ok(0) | Err(_) if replies.is_empty() => return Err(Error::TranscoderGone),
            Ok(0) | Err(_) => return Ok(replies),
            Ok(_) => {}
        }
    }
}

const MAX_REPLIES: usize = 2;
