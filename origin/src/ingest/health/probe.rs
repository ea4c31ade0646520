//! A publisher's side of the board: everything it sends passes by here, to be measured and held against its limits.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nearcast_api::ChannelId;
use nearcast_api::ingest::Line;
use nearcast_media::Event;

use super::board::{Board, lock};
use super::lines::Shared;
use crate::ingest::bounds::{Bounds, Breach, Guard};
use crate::package::Air;

/// From an accepted publish to its end.
#[derive(Debug)]
pub struct Probe {
    board: Board,
    channel: ChannelId,
    monitor: Shared,
    guard: Guard,
    /// It goes because it, or we, want that.
    leaves: AtomicBool,
}

impl Probe {
    pub(super) fn new(board: Board, channel: ChannelId, monitor: Shared, limits: Bounds) -> Self {
        let guard = Guard::new(limits, Instant::now());
        Self { board, channel, monitor, guard, leaves: AtomicBool::new(false) }
    }

    /// What the encoder calls itself.
    pub fn encoder(&self, name: &str) {
        if !name.is_empty() {
            lock(&self.monitor).encoder(name);
        }
    }

    /// Takes what is fed to the broadcast.
    ///
    /// # Errors
    /// [`Breach`] when it is more than the publisher may send.
    pub fn observe(&mut self, event: &Event) -> Result<(), Breach> {
        let mut monitor = lock(&self.monitor);
        match event {
            Event::Config(config) => monitor.config(config),
            Event::Frame(track, frame) => monitor.frame(*track, frame, Instant::now()),
            Event::Further(track, piece) => monitor.further(*track, piece, Instant::now()),
        }
        drop(monitor);
        self.guard.observe(event)
    }

    /// Takes the number of bytes that were read, and says how long to wait before reading more.
    ///
    /// # Errors
    /// [`Breach`] when it is more than the publisher may send.
    pub fn received(&mut self, bytes: usize) -> Result<Duration, Breach> {
        self.guard.received(bytes, Instant::now())
    }

    /// Timestamps that jumped and were put right so far on this connection.
    pub fn put_right(&self, jumps: u64) {
        lock(&self.monitor).put_right(jumps, Instant::now());
    }

    /// What the protocol knows of the line.
    pub fn line(&self, line: Line) {
        lock(&self.monitor).line(line);
    }

    /// A track is not taken, or is not there, in words.
    pub fn leave_out(&self, words: &'static str) {
        lock(&self.monitor).leave_out(words);
    }

    /// It feeds a broadcast, and `air` says whether viewers see that.
    pub fn feeds(&self, air: &Air) {
        self.board.feed(&self.channel, &self.monitor, air.clone());
    }

    /// It stops of its own will, or because another one has taken its place: no line is lost.
    pub fn leaves(&self) {
        self.leaves.store(true, Ordering::Relaxed);
    }

    /// The publisher is sent away.
    pub fn refused(&self, reason: &'static str, text: &str) {
        self.leaves();
        self.board.refused(&self.channel, reason, text);
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.board.close(&self.channel, &self.monitor, self.leaves.load(Ordering::Relaxed));
    }
}
