//! A transcode child by itself, from its first message to its exit.

use std::io::{Read, Write};
use std::process::{Command, ExitStatus, Stdio};

use bytes::BytesMut;
use nearcast_origin::transcode::wire::{self, Reply, Request};

/// Runs a child over the whole input and returns what it said.
pub(crate) fn run(requests: &[Request]) -> (Vec<Reply>, ExitStatus, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_nearcast-origin"))
        .arg("transcode")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = BytesMut::new();
    requests.iter().for_each(|request| request.encode(&mut input));
    let mut stdin = child.stdin.take().unwrap();
    // A child that gives up closes its end early.
    let writer = std::thread::spawn(move || stdin.write_all(&input).is_ok());
    let mut output = Vec::new();
    child.stdout.take().unwrap().read_to_end(&mut output).unwrap();
    let mut complaint = String::new();
    child.stderr.take().unwrap().read_to_string(&mut complaint).unwrap();
    writer.join().unwrap();
    let mut buffer = BytesMut::from(&output[..]);
    let mut replies = Vec::new();
    while let Some(message) = wire::split(&mut buffer).unwrap() {
        replies.push(Reply::decode(message).unwrap());
    }
    assert!(buffer.is_empty(), "the child stopped in the middle of a message");
    (replies, child.wait().unwrap(), complaint)
}
