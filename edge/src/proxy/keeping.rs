//! From an origin's answer to the head under which it is kept.

use std::sync::Arc;
use std::time::SystemTime;

use http::header::{CONTENT_LENGTH, DATE};
use http::response::Parts;

use super::answer::Answer;
use super::fill::Ask;
use super::policy::{self, Freshness, Verdict, http_date};
use super::stored::{Head, Stored};
use super::vary::Vary;
use super::{hygiene, tags};

/// The head of an answer to `ask` that arrived at `wall`.
pub(super) fn head(ask: &Ask, answer: &Parts, vary: Vary, freshness: Freshness, wall: SystemTime) -> Head {
    let mut headers = hygiene::for_viewers(&answer.headers);
    // RFC 9110 §6.6.1: who keeps an answer without a date gives it one.
    headers.entry(DATE).or_insert_with(|| http_date(wall));
    Head {
        name: ask.name.as_str().into(),
        status: answer.status,
        headers,
        vary,
        tags: tags::of(&answer.headers),
        freshness,
    }
}

/// The head of `old` after a 304, and whether others than the asker may have it; `None` when it may not be kept any longer.
pub(super) fn freshened(ask: &Ask, answer: Answer, old: &Stored) -> Option<(Arc<Head>, bool)> {
    let Answer { head: mut update, times, .. } = answer;
    update.headers.remove(CONTENT_LENGTH);
    let shown = hygiene::for_viewers(&update.headers);
    let new = tags::of(&update.headers);
    // What the origin said of the old answer holds for what it does not say now.
    update.headers = policy::freshened(&old.head.headers, &update.headers);
    update.status = old.head.status;
    let verdict = Verdict::of(&update, &ask.headers, times, ask.route.config.defaults());
    let shared = verdict.is_shared();
    let head = Head {
        name: old.head.name.clone(),
        status: old.head.status,
        headers: policy::freshened(&old.head.headers, &shown),
        vary: verdict.vary?,
        tags: if new.is_empty() { old.head.tags.clone() } else { new },
        freshness: verdict.freshness,
    };
    Some((Arc::new(head), shared))
}
