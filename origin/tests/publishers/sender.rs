//! A publisher whose every byte a test decides: plain RTMP over a socket, and FLV files to send over it.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

/// A connection to an origin.
pub(crate) struct Sender {
    pub(crate) socket: TcpStream,
}

/// One tag of an FLV file (Adobe FLV 10.1 §E.4.1).
#[derive(Clone)]
pub(crate) struct Tag {
    pub(crate) kind: u8,
    /// Milliseconds.
    pub(crate) time: u32,
    pub(crate) body: Vec<u8>,
}

impl Sender {
    /// A socket, and nothing sent yet.
    pub(crate) fn knock(address: &str) -> Self {
        let socket = TcpStream::connect(address).unwrap();
        socket.set_nodelay(true).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_write_timeout(Some(PATIENCE)).unwrap();
        Self { socket }
    }

    /// Through the handshake: from here on, chunks.
    pub(crate) fn greet(address: &str) -> Self {
        let mut sender = Self::knock(address);
        let mut hello = vec![0; 1 + HANDSHAKE];
        hello[0] = 3;
        sender.socket.write_all(&hello).unwrap();
        let mut answer = vec![0; 1 + 2 * HANDSHAKE];
        sender.socket.read_exact(&mut answer).unwrap();
        sender.socket.write_all(&answer[1..=HANDSHAKE]).unwrap();
        sender
    }

    /// Publishing under `key`.
    pub(crate) fn publish(address: &str, key: &str) -> Self {
        let mut sender = Self::greet(address);
        let begin = [
            message(2, 0, SET_CHUNK_SIZE, 0, &0x7f_ffff_u32.to_be_bytes()),
            message(3, 0, COMMAND, 0, &connect()),
            message(3, 0, COMMAND, 0, &[&string("createStream")[..], &number(2.0), &[NULL]].concat()),
            message(3, 0, COMMAND, 1, &publish(key)),
        ];
        sender.socket.write_all(&begin.concat()).unwrap();
        sender.hear("NetStream.Publish.Start");
        sender
    }

    /// Reads answers until one says `word`.
    pub(crate) fn hear(&mut self, word: &str) {
        let mut heard = Vec::new();
        let mut more = [0; 4096];
        while !heard.windows(word.len()).any(|window| window == word.as_bytes()) {
            let length = self.socket.read(&mut more).unwrap();
            assert!(length > 0, "no {word:?} in {}", heard.escape_ascii());
            heard.extend_from_slice(&more[..length]);
        }
    }

    /// Sends FLV tags as messages, in whatever order they come.
    pub(crate) fn send(&mut self, tags: &[Tag]) {
        for tag in tags {
            let id = if tag.kind == VIDEO { 6 } else { 4 };
            self.socket.write_all(&message(id, tag.time, tag.kind, 1, &tag.body)).unwrap();
        }
    }

    /// Stops as an encoder does.
    pub(crate) fn unpublish(mut self) {
        let arguments = [&string("deleteStream")[..], &number(0.0), &[NULL], &number(1.0)].concat();
        self.socket.write_all(&message(3, 0, COMMAND, 0, &arguments)).unwrap();
        self.hear("NetStream.Unpublish.Success");
    }
}

impl Tag {
    /// The tags of a file, but for its description.
    pub(crate) fn read(file: &Path) -> Vec<Self> {
        let bytes = std::fs::read(file).unwrap();
        assert_eq!(&bytes[..4], b"FLV\x01");
        // The header, and the length of the tag before the first.
        let mut rest = &bytes[9 + 4..];
        let mut tags = Vec::new();
        while let [kind, a, b, c, d, e, f, high, _, _, _, more @ ..] = rest {
            let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
            let (kind, time) = (*kind, u32::from_be_bytes([*high, *d, *e, *f]));
            tags.push(Self { kind, time, body: more[..length].to_vec() });
            rest = &more[length + 4..];
        }
        tags.retain(|tag| tag.kind == VIDEO || tag.kind == AUDIO);
        tags
    }

    pub(crate) fn is_video(&self) -> bool {
        self.kind == VIDEO
    }

    /// A configuration of H.264 or AAC, not a frame.
    pub(crate) fn is_config(&self) -> bool {
        self.body[1] == 0
    }

    /// A picture that decoding can start at.
    pub(crate) fn is_keyframe(&self) -> bool {
        self.is_video() && self.body[0] >> 4 == 1 && !self.is_config()
    }
}

/// A whole message in one chunk; its chunk size has to be the largest.
pub(crate) fn message(id: u8, time: u32, kind: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = header(id, time, payload.len(), kind, stream);
    bytes.extend_from_slice(payload);
    bytes
}

/// A chunk header of type 0 (Adobe RTMP 1.0 §5.3.1.2.1).
pub(crate) fn header(id: u8, time: u32, length: usize, kind: u8, stream: u32) -> Vec<u8> {
    let mut bytes = vec![id];
    bytes.extend_from_slice(&time.min(EXTENDED).to_be_bytes()[1..]);
    bytes.extend_from_slice(&u32::try_from(length).unwrap().to_be_bytes()[1..]);
    bytes.push(kind);
    bytes.extend_from_slice(&stream.to_le_bytes());
    if time >= EXTENDED {
        bytes.extend_from_slice(&time.to_be_bytes());
    }
    bytes
}

/// The payload of a connect command.
pub(crate) fn connect() -> Vec<u8> {
    let app = [&[3, 0, 3][..], b"app", &string("live"), &[0, 0, 9]].concat();
    [string("connect"), number(1.0), app].concat()
}

/// The payload of a publish command.
pub(crate) fn publish(key: &str) -> Vec<u8> {
    [string("publish"), number(3.0), vec![NULL], string(key), string("live")].concat()
}

/// An AMF0 string.
pub(crate) fn string(text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).unwrap().to_be_bytes();
    [&[2][..], &length, text.as_bytes()].concat()
}

/// An AMF0 number.
pub(crate) fn number(value: f64) -> Vec<u8> {
    [&[0][..], &value.to_be_bytes()].concat()
}

pub(crate) const NULL: u8 = 5;
pub(crate) const SET_CHUNK_SIZE: u8 = 1;
pub(crate) const AUDIO: u8 = 8;
pub(crate) const VIDEO: u8 = 9;
pub(crate) const COMMAND: u8 = 20;
const EXTENDED: u32 = 0xff_ffff;
const HANDSHAKE: usize = 1536;
const PATIENCE: Duration = Duration::from_secs(20);
