//! How many attempts are under way at each receiver, so that slow ones keep each other waiting and nobody else. Pure.

use std::collections::BTreeMap;

/// Attempts under way, by webhook.
#[derive(Debug, Default)]
pub(super) struct Slots {
    busy: BTreeMap<String, u32>,
    total: u32,
}

impl Slots {
    /// How many more may begin at once for this webhook.
    pub(super) fn free(&self, webhook: &str) -> u32 {
        EACH.saturating_sub(self.of(webhook)).min(ALL.saturating_sub(self.total))
    }

    /// One has begun.
    pub(super) fn take(&mut self, webhook: &str) {
        *self.busy.entry(webhook.to_owned()).or_default() += 1;
        self.total += 1;
    }

    /// One is over.
    pub(super) fn give(&mut self, webhook: &str) {
        if let Some(busy) = self.busy.get_mut(webhook) {
            *busy -= 1;
            self.total -= 1;
            if *busy == 0 {
                self.busy.remove(webhook);
            }
        }
    }

    /// Puts those with the fewest under way first: when places are few, each gets one before anybody gets a second.
    pub(super) fn order<T>(&self, waiting: &mut [T], webhook: impl Fn(&T) -> &str) {
        waiting.sort_by_key(|item| self.of(webhook(item)));
    }

    fn of(&self, webhook: &str) -> u32 {
        self.busy.get(webhook).copied().unwrap_or_default()
    }
}

/// At one receiver: many small deliveries are worth a few connections, and a slow receiver gets no more.
const EACH: u32 = 4;
/// At all: so many would have to be slow at once before one that is not waits for them.
const ALL: u32 = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_few_and_all_have_many() {
        let mut slots = Slots::default();
        for _ in 0..EACH {
            slots.take("slow");
        }
        assert_eq!((slots.free("slow"), slots.free("other")), (0, EACH));
        slots.give("slow");
        assert_eq!(slots.free("slow"), 1);
        slots.give("unknown");
        let mut waiting = vec!["slow", "other"];
        slots.order(&mut waiting, |webhook| webhook);
        assert_eq!(waiting, ["other", "slow"]);
        for webhook in 0..ALL {
            slots.take(&webhook.to_string());
        }
        assert_eq!(slots.free("last"), 0);
    }
}
