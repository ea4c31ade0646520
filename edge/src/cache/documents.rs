//! Small documents that change: kept until their lifetime is over, and a little longer for when no parent answers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::object::Object;

/// Multivariant playlists and DASH manifests by path, a bounded number of them.
#[derive(Debug, Default)]
pub struct Documents(Mutex<HashMap<Box<str>, Arc<Object>>>);

impl Documents {
    /// The document, while it is fresh.
    pub fn fresh(&self, key: &str, now: Instant) -> Option<Arc<Object>> {
        self.map().get(key).filter(|object| object.is_fresh(now)).cloned()
    }

    /// The document, though its lifetime is over, for when it cannot be asked for again (RFC 5861 §4).
    pub fn stale(&self, key: &str, now: Instant) -> Option<Arc<Object>> {
        let usable = |object: &&Arc<Object>| now < object.produced + object.max_age + STALE_IF_ERROR;
        self.map().get(key).filter(usable).cloned()
    }

    /// Keeps the newest version. When full, the oldest leaves.
    pub fn insert(&self, key: &str, object: Arc<Object>) {
        let mut map = self.map();
        if map.len() >= MAX_DOCUMENTS && !map.contains_key(key) {
            let oldest = map.iter().min_by_key(|(_, object)| object.produced).map(|(key, _)| key.clone());
            oldest.and_then(|key| map.remove(&key));
        }
        map.insert(key.into(), object);
    }

    /// Forgets what no longer exists.
    pub fn remove(&self, key: &str) {
        self.map().remove(key);
    }

    fn map(&self) -> MutexGuard<'_, HashMap<Box<str>, Arc<Object>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Live channels an edge is asked for at a time, with room to spare; a few KB each.
const MAX_DOCUMENTS: usize = 4096;
/// As long as a restart of an origin may take; what the document names is cached on its own.
const STALE_IF_ERROR: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::HeaderValue;

    use super::*;

    fn document(produced: Instant) -> Arc<Object> {
        let content_type = HeaderValue::from_static("application/vnd.apple.mpegurl");
        Arc::new(Object { body: Bytes::new(), content_type, produced, max_age: Duration::from_secs(1) })
    }

    #[test]
    fn a_document_is_fresh_then_stale_then_gone() {
        let (documents, now) = (Documents::default(), Instant::now());
        documents.insert("k", document(now));
        assert!(documents.fresh("k", now).is_some());
        let later = now + Duration::from_secs(1);
        assert!(documents.fresh("k", later).is_none() && documents.stale("k", later).is_some());
        assert!(documents.stale("k", later + STALE_IF_ERROR).is_none());
    }

    #[test]
    fn the_oldest_makes_room() {
        let (documents, now) = (Documents::default(), Instant::now());
        for index in 0..=MAX_DOCUMENTS as u32 {
            documents.insert(&index.to_string(), document(now + Duration::from_millis(index.into())));
        }
        assert_eq!(documents.map().len(), MAX_DOCUMENTS);
        assert!(documents.fresh("0", now).is_none() && documents.fresh("1", now).is_some());
    }
}
