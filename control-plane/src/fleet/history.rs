//! The last changes, so that a node that is a little behind gets little.

use std::collections::VecDeque;

use nearcast_api::snapshot::Delta;

/// A ring of deltas, each one version long.
#[derive(Debug, Default)]
pub(super) struct History {
    deltas: VecDeque<Delta>,
}

impl History {
    pub(super) fn push(&mut self, delta: Delta) {
        if self.deltas.len() == KEPT {
            self.deltas.pop_front();
        }
        self.deltas.push_back(delta);
    }

    /// The changes from version `from` to `to` as one delta, when all of them are still here.
    pub(super) fn since(&self, from: u64, to: u64) -> Option<Delta> {
        let first = self.deltas.iter().position(|delta| delta.from == from)?;
        let mut merged = Delta { from, to: from, ..Delta::default() };
        self.deltas.range(first..).cloned().for_each(|delta| merged.extend(delta));
        (merged.to == to).then_some(merged)
    }
}

/// Two minutes of one change a second; a node further behind is better off with the whole.
const KEPT: usize = 128;
