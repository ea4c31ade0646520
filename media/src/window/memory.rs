//! What a window holds in memory, and how it gives some of it up.

use std::time::Duration;

use bytes::Bytes;

use super::stored::{Held, Stored, size};
use super::{Whole, Window};
use crate::hls::delta;

impl Window {
    /// Bytes in memory that are to stay there.
    pub(crate) fn resident(&self) -> usize {
        let open = self.open.as_ref().map_or(0, |open| size(&open.parts));
        self.whole.iter().filter_map(|whole| whole.stored.resident()).map(size).sum::<usize>() + open
    }

    /// The oldest segment whose bytes are to stay in memory. The newest whole one is never offered: there is
    /// always something to play.
    pub(crate) fn oldest_resident(&self) -> Option<u64> {
        let mut older = self.whole.range(..self.whole.len().saturating_sub(1));
        let full = |whole: &&Whole| whole.stored.resident().is_some_and(|parts| !parts.is_empty());
        older.find(full).map(|whole| whole.msn)
    }

    /// The segment's bytes, for somebody who will [`settle`](Self::settle) where they are.
    pub(crate) fn leave(&mut self, msn: u64) -> Option<Vec<Bytes>> {
        let stored = &mut self.whole_mut(msn)?.stored;
        let parts = stored.resident()?.to_vec();
        *stored = Stored::Leaving(parts.clone());
        Some(parts)
    }

    /// A segment that was to leave has been `kept`, or is lost and with it everything older. False when nobody
    /// will ask for it any more.
    pub(crate) fn settle(&mut self, msn: u64, kept: bool) -> bool {
        let Some(Whole { stored, .. }) = self.whole_mut(msn) else { return false };
        let Stored::Leaving(parts) = stored else { return false };
        if kept {
            *stored = Stored::Elsewhere(parts.iter().map(|part| part.len() as u64).collect());
        } else {
            self.drop_through(msn);
        }
        kept
    }

    /// Forgets the oldest segments up to this one. They are gone at once; but since players still ask for what
    /// they saw listed a moment ago, some that remain leave the playlist with them.
    pub(crate) fn drop_through(&mut self, msn: u64) {
        while self.whole.len() > 1 && self.whole.front().is_some_and(|first| first.msn <= msn) {
            self.pop();
        }
        let sum = |whole: &mut dyn Iterator<Item = &Whole>| -> Duration {
            whole.map(|whole| whole.segment.duration).sum()
        };
        let grace = delta::parts_until(self.target_duration);
        let mut unlisted = sum(&mut self.whole.range(..self.unlisted));
        let mut listed = sum(&mut self.whole.range(self.unlisted..));
        while let Some(first) = self.whole.get(self.unlisted)
            && unlisted < grace
            && listed >= self.least_listed() + first.segment.duration
        {
            unlisted += first.segment.duration;
            listed -= first.segment.duration;
            self.rates.remove(first);
            self.unlisted += 1;
        }
    }

    /// Segments that somebody else has and nobody will ask for any more, since the last call.
    pub(crate) fn take_gone(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.gone)
    }

    /// Everything that somebody else has.
    pub(crate) fn elsewhere(&self) -> impl Iterator<Item = u64> {
        self.whole.iter().filter(|whole| matches!(whole.stored, Stored::Elsewhere(_))).map(|whole| whole.msn)
    }

    /// A part or, without one, a whole segment, wherever it is. A segment with a hole is not to be had whole.
    pub(crate) fn held(&self, msn: u64, part: Option<u32>) -> Option<Held> {
        match (part, &self.open) {
            (Some(part), Some(open)) if open.start.msn == msn => {
                let part = open.parts.get(usize::try_from(part).ok()?)?;
                Some(Held::Memory(vec![part.clone()]))
            }
            (Some(part), _) => self.whole(msn)?.stored.part(usize::try_from(part).ok()?),
            (None, _) => {
                let whole = self.whole(msn).filter(|whole| !whole.segment.gap)?;
                Some(whole.stored.whole())
            }
        }
    }

    /// Forgets the oldest whole segment.
    pub(super) fn pop(&mut self) -> Option<Whole> {
        let whole = self.whole.pop_front()?;
        if self.unlisted == 0 {
            self.rates.remove(&whole);
        }
        self.unlisted = self.unlisted.saturating_sub(1);
        if matches!(whole.stored, Stored::Elsewhere(_)) {
            self.gone.push(whole.msn);
        }
        Some(whole)
    }

    /// More than the skip boundary, or a delta update could never skip anything.
    pub(super) fn least_listed(&self) -> Duration {
        delta::skip_until(self.target_duration) + Duration::from_secs(u64::from(self.target_duration))
    }

    fn whole_mut(&mut self, msn: u64) -> Option<&mut Whole> {
        let index = msn.checked_sub(self.whole.front()?.msn)?;
        self.whole.get_mut(usize::try_from(index).ok()?)
    }
}
