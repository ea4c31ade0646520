//! How much of a broadcast is in memory: what leaves it, and where media is to be had.

use std::sync::Arc;

use bytes::Bytes;

use super::rendition::Rendition;
use super::{Broadcast, Held};

/// What the shell has to do with the bytes of a whole segment: see [`Broadcast::poll_move`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Move {
    /// Put them where [`Held::Elsewhere`] will be looked for, one part after the other, and say how that went
    /// to [`Broadcast::settle`].
    Out { rendition: Arc<str>, msn: u64, parts: Vec<Bytes> },
    /// Nobody will ask for them any more.
    Delete { rendition: Arc<str>, msn: u64 },
}

impl Broadcast {
    /// Bytes in memory that are to stay there.
    pub fn memory(&self) -> usize {
        self.renditions.iter().filter_map(Rendition::window).map(|window| window.resident()).sum()
    }

    /// Lets the oldest segments leave until at most `bytes` are to stay in memory, or only the newest segments.
    pub fn shrink(&mut self, bytes: usize) {
        self.fit(bytes);
    }

    /// What to do next with bytes of segments, if anything. Ask after every other call.
    pub fn poll_move(&mut self) -> Option<Move> {
        self.moves.pop_front()
    }

    /// A segment that was to move out has been `kept`, or is lost: then it leaves the playlist with everything
    /// older. False when nobody will ask for it any more, and what was kept of it can go.
    pub fn settle(&mut self, rendition: &str, msn: u64, kept: bool) -> bool {
        let Some(index) = self.find(rendition) else { return false };
        let wanted = self.renditions[index].window_mut().is_some_and(|window| window.settle(msn, kept));
        self.collect();
        wanted
    }

    /// A part, wherever it is.
    pub fn part(&self, rendition: &str, msn: u64, part: u32) -> Option<Held> {
        self.renditions[self.find(rendition)?].window()?.held(msn, Some(part))
    }

    /// A whole segment, wherever it is.
    pub fn segment(&self, rendition: &str, msn: u64) -> Option<Held> {
        self.renditions[self.find(rendition)?].window()?.held(msn, None)
    }

    /// Oldest segments first, whichever rendition they are of, so that all windows cover the same time.
    pub(super) fn fit(&mut self, bytes: usize) {
        let mut memory = self.memory();
        while memory > bytes {
            let resident = |rendition: &Rendition| rendition.window()?.oldest_resident();
            let candidates = self.renditions.iter().enumerate();
            let oldest =
                candidates.filter_map(|(index, rendition)| Some((resident(rendition)?, index))).min();
            let Some((msn, index)) = oldest else { break };
            let rendition = &mut self.renditions[index];
            let Some(window) = rendition.window_mut() else { break };
            if self.settings.spill {
                let Some(parts) = window.leave(msn) else { break };
                let rendition = Arc::clone(&rendition.name);
                self.moves.push_back(Move::Out { rendition, msn, parts });
            } else {
                window.drop_through(msn);
            }
            memory = self.memory();
        }
        self.collect();
    }

    /// Has everything deleted that others keep of the rendition of this index.
    pub(super) fn forget(&mut self, index: usize) {
        let rendition = &self.renditions[index];
        let kept = rendition.window().into_iter().flat_map(|window| window.elsewhere());
        self.moves.extend(kept.map(|msn| Move::Delete { rendition: Arc::clone(&rendition.name), msn }));
    }

    fn collect(&mut self) {
        for rendition in &mut self.renditions {
            let gone = rendition.take_gone();
            let name = &rendition.name;
            self.moves.extend(gone.into_iter().map(|msn| Move::Delete { rendition: Arc::clone(name), msn }));
        }
    }
}
