//! The server's state machine: handshake, connect, publish, media, end.
#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::cast_possible_truncation)
)]

mod commands;
mod enhanced;

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use rml_rtmp::handshake::{Handshake, HandshakeError, HandshakeProcessResult, PeerType};

use super::chunk::Assembler;
use super::message::{self, Content, Media};
use super::reply::Replies;
use super::{Limits, Metadata};
use crate::{Error, Result};

/// One publisher's connection, from its first byte.
///
/// Give it what the socket reads ([`Session::handle_input`]); then take all events and send all output. After
/// [`Event::Publish`] nothing more is read until [`Session::accept_publish`] or [`Session::reject_publish`] has
/// answered it, so the key may be looked up elsewhere meanwhile. Encoders often end with a bare close of the
/// socket and without [`Event::Unpublish`].
#[derive(Debug)]
pub struct Session {
    limits: Limits,
    stage: Stage,
    /// Input not yet read: part of a chunk header, or all that came behind an unanswered publish.
    inbox: BytesMut,
    assembler: Assembler,
    replies: Replies,
    events: VecDeque<Event>,
    /// `app` of connect, and its query.
    app: (String, String),
    /// Message streams made and not deleted.
    streams: Vec<u32>,
    streams_made: u32,
    publish: Option<Publish>,
    /// Commands since the connection began or something was last published.
    commands: usize,
    received: Received,
}

/// What happened on the connection.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The peer connected to an application.
    Connect {
        /// Without slashes around it and without its query.
        app: String,
        /// The whole URL, as the peer says, or empty.
        tc_url: String,
        /// What the peer calls itself (`flashVer`), or empty.
        encoder: String,
    },
    /// The peer wants to publish and waits for an answer.
    Publish {
        app: String,
        /// The stream name without its query.
        key: String,
        /// The query behind the stream name or, without one, behind the application.
        query: String,
    },
    /// An FLV video tag body, never empty; comes only while published.
    Video { timestamp_ms: u32, data: Bytes },
    /// An FLV audio tag body, never empty; comes only while published.
    Audio { timestamp_ms: u32, data: Bytes },
    /// What the encoder says of its stream; comes only while published.
    Metadata(Metadata),
    /// The peer stopped publishing; it may publish again.
    Unpublish,
}

impl Session {
    pub fn new(limits: Limits) -> Self {
        Self {
            stage: Stage::Handshake(Box::new(Handshake::new(PeerType::Server))),
            inbox: BytesMut::new(),
            assembler: Assembler::new(limits.of_strangers()),
            replies: Replies::new(limits.replies),
            events: VecDeque::new(),
            app: Default::default(),
            streams: Vec::new(),
            streams_made: 0,
            publish: None,
            commands: 0,
            received: Received { window: DEFAULT_WINDOW, ..Received::default() },
            limits,
        }
    }

    /// Takes bytes that the peer sent. Events and output are bounded by what is given at once: drain both after
    /// each call, and give no more than a socket buffer's worth.
    ///
    /// # Errors
    /// [`Error::Malformed`], [`Error::Protocol`] or [`Error::Limit`]: the connection must be closed; events and
    /// output from before the error are still there.
    pub fn handle_input(&mut self, input: &[u8]) -> Result<()> {
        self.received.add(input.len());
        let result = self.take_input(input);
        if result.is_err() {
            self.close();
        }
        result
    }

    /// The next bytes to send to the peer.
    pub fn poll_output(&mut self) -> Option<Bytes> {
        self.replies.pop()
    }

    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Lets the peer publish, and reads what it has sent meanwhile. Does nothing unless a publish waits.
    ///
    /// # Errors
    /// As [`Session::handle_input`].
    pub fn accept_publish(&mut self) -> Result<()> {
        let Some(publish) = self.publish.as_mut().filter(|publish| !publish.live) else { return Ok(()) };
        publish.live = true;
        let stream_id = publish.stream_id;
        self.commands = 0;
        self.assembler.set_limits(self.limits.clone());
        let result = self
            .replies
            .user_control(message::STREAM_BEGIN, stream_id.to_be_bytes())
            .and_then(|()| self.replies.status(stream_id, "status", "NetStream.Publish.Start", "Publishing"))
            .and_then(|()| self.read_messages());
        if result.is_err() {
            self.close();
        }
        result
    }

    /// Tells the peer that it may not publish, or no longer, and why: `code` is for its program (such as
    /// `NetStream.Publish.BadName` or `NetStream.Publish.Denied`), `description` for its user. Then no more input
    /// is read: send the output and close the socket.
    pub fn reject_publish(&mut self, code: &str, description: &str) {
        if let Some(publish) = self.publish.take() {
            // Losing the explanation because the peer does not read is the peer's choice.
            let _ = self.replies.status(publish.stream_id, "error", code, description);
        }
        self.close();
    }

    /// Whether the session reads no more input: after an error or [`Session::reject_publish`].
    pub fn is_closed(&self) -> bool {
        matches!(self.stage, Stage::Closed)
    }

    fn close(&mut self) {
        self.stage = Stage::Closed;
        self.inbox = BytesMut::new();
        self.assembler = Assembler::new(self.limits.clone());
    }

    fn take_input(&mut self, input: &[u8]) -> Result<()> {
        match &mut self.stage {
            Stage::Closed => Ok(()),
            Stage::Handshake(handshake) => match handshake.process_bytes(input).map_err(handshake_error)? {
                HandshakeProcessResult::InProgress { response_bytes } => self.replies.raw(response_bytes),
                HandshakeProcessResult::Completed { response_bytes, remaining_bytes } => {
                    self.stage = Stage::Fresh;
                    self.replies.raw(response_bytes)?;
                    self.inbox.extend_from_slice(&remaining_bytes);
                    self.read_messages()
                }
            },
            Stage::Fresh | Stage::Connected => {
                self.inbox.extend_from_slice(input);
                self.read_messages()
            }
        }
    }

    fn read_messages(&mut self) -> Result<()> {
        while !self.is_waiting() && !self.is_closed() {
            let Some(message) = self.assembler.next(&mut self.inbox)? else { break };
            self.act(Content::parse(message)?)?;
        }
        if self.inbox.len() > self.limits.pending {
            return Err(Error::Limit {
                what: "RTMP bytes behind a publish request",
                limit: self.limits.pending,
            });
        }
        if let Some(total) = self.received.acknowledgement() {
            self.replies.acknowledge(total)?;
        }
        Ok(())
    }

    /// Whether a publish has not been answered yet.
    fn is_waiting(&self) -> bool {
        self.publish.as_ref().is_some_and(|publish| !publish.live)
    }

    fn act(&mut self, content: Content) -> Result<()> {
        match content {
            Content::Media(media) => self.media(media),
            Content::Aggregate(parts) => parts.into_iter().for_each(|media| self.media(media)),
            Content::Command(command) => return self.command(command),
            Content::Data(values) => {
                if let (Some(_), Some(metadata)) = (&self.publish, Metadata::parse(&values)) {
                    self.events.push_back(Event::Metadata(metadata));
                }
            }
            Content::Ping(data) => return self.replies.user_control(message::PING_RESPONSE, data),
            Content::WindowAcknowledgementSize(window) => self.received.window = window,
            Content::Other => {}
        }
        Ok(())
    }

    fn media(&mut self, media: Media) {
        if self.publish.is_none() || media.data.is_empty() {
            return;
        }
        let Media { is_video, timestamp_ms, data } = media;
        self.events.push_back(match is_video {
            true => Event::Video { timestamp_ms, data },
            false => Event::Audio { timestamp_ms, data },
        });
    }
}

/// Fuzz body: what comes behind a handshake gives events or an error, the same ones however it is split.
pub fn fuzz(data: &[u8]) {
    let whole = converse(data, usize::MAX);
    for piece in [1, 2, 5, 100] {
        assert_eq!(whole, converse(data, piece));
    }
}

fn converse(data: &[u8], piece: usize) -> (Vec<Event>, Option<Error>) {
    let limits = Limits {
        media_message: 4096,
        control_message: 2048,
        pending: 1 << 20,
        replies: 1 << 20,
        ..Limits::default()
    };
    let mut session = Session::new(limits.clone());
    session.stage = Stage::Fresh;
    let mut events = Vec::new();
    for part in data.chunks(piece.min(data.len()).max(1)) {
        let mut result = session.handle_input(part);
        loop {
            while session.poll_output().is_some() {}
            let Some(event) = session.poll_event() else { break };
            if matches!(event, Event::Publish { .. }) {
                result = result.and_then(|()| session.accept_publish());
            }
            events.push(event);
        }
        assert!(session.streams.len() <= limits.streams);
        if let Err(error) = result {
            return (events, Some(error));
        }
    }
    (events, None)
}

enum Stage {
    Handshake(Box<Handshake>),
    /// Before `connect`.
    Fresh,
    Connected,
    Closed,
}

impl std::fmt::Debug for Stage {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Handshake(_) => "Handshake",
            Self::Fresh => "Fresh",
            Self::Connected => "Connected",
            Self::Closed => "Closed",
        })
    }
}

#[derive(Debug)]
struct Publish {
    stream_id: u32,
    /// Accepted.
    live: bool,
}

/// Counts the peer's bytes and says when to acknowledge them (§5.4.3).
#[derive(Debug, Default)]
struct Received {
    total: u64,
    acknowledged: u64,
    window: u32,
}

impl Received {
    fn add(&mut self, count: usize) {
        self.total = self.total.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
    }

    /// The sequence number to send, which is all bytes so far, modulo 2^32; at most one for each input.
    fn acknowledgement(&mut self) -> Option<u32> {
        if self.window == 0 || self.total.saturating_sub(self.acknowledged) < u64::from(self.window) {
            return None;
        }
        self.acknowledged = self.total;
        u32::try_from(self.total & u64::from(u32::MAX)).ok()
    }
}

fn handshake_error(error: HandshakeError) -> Error {
    let problem = match error {
        HandshakeError::BadVersionId => "the first byte is not version 3",
        _ => "the packets do not fit each other",
    };
    Error::Protocol { protocol: "RTMP handshake", problem }
}

/// What servers take for granted until the peer says otherwise.
const DEFAULT_WINDOW: u32 = 2_500_000;

#[cfg(test)]
mod tests;
