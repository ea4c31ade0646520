//! Small documents that change: kept until their lifetime is over, and a little longer for when no parent answers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::object::Object;
use super::store::Purge;

/// Multivariant playlists, DASH manifests, posters and lists of pictures by path, a bounded number of them and of
/// their bytes.
#[derive(Debug, Default)]
pub struct Documents(Mutex<Map>);

#[derive(Debug, Default)]
struct Map {
    objects: HashMap<Box<str>, Arc<Object>>,
    bytes: usize,
}

impl Documents {
    /// The document, while it is fresh.
    pub fn fresh(&self, key: &str, now: Instant) -> Option<Arc<Object>> {
        self.map().objects.get(key).filter(|object| object.is_fresh(now)).cloned()
    }

    /// The document, though its lifetime is over, for when it cannot be asked for again (RFC 5861 §4).
    pub fn stale(&self, key: &str, now: Instant) -> Option<Arc<Object>> {
        let usable = |object: &&Arc<Object>| now < object.produced + object.max_age + STALE_IF_ERROR;
        self.map().objects.get(key).filter(usable).cloned()
    }

    /// Keeps the newest version. When full, the oldest leave.
    pub fn insert(&self, key: &str, object: Arc<Object>) {
        let mut map = self.map();
        map.remove(key);
        map.bytes += object.body.len();
        map.objects.insert(key.into(), object);
        while map.objects.len() > MAX_DOCUMENTS || map.bytes > MAX_BYTES {
            let oldest = map.objects.iter().min_by_key(|(_, object)| object.produced);
            let Some(oldest) = oldest.map(|(key, _)| key.clone()) else { return };
            map.remove(&oldest);
        }
    }

    /// Forgets what no longer exists.
    pub fn remove(&self, key: &str) {
        self.map().remove(key);
    }

    /// Forgets what `verdict` says, or makes it stale; returns how much that was.
    pub fn purge(&self, verdict: impl Fn(&str) -> Purge) -> usize {
        let mut map = self.map();
        let verdicts = map.objects.keys().map(|path| (path.clone(), verdict(path)));
        let verdicts: Vec<_> = verdicts.collect();
        verdicts.into_iter().filter(|(path, verdict)| map.purge(path, *verdict)).count()
    }

    /// The same of one path; true when it was here.
    pub fn purge_name(&self, path: &str, verdict: Purge) -> bool {
        self.map().purge(path, verdict)
    }

    fn map(&self) -> MutexGuard<'_, Map> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Map {
    fn purge(&mut self, path: &str, verdict: Purge) -> bool {
        let Some(object) = self.objects.get_mut(path).filter(|_| verdict != Purge::No) else { return false };
        if verdict == Purge::Soft {
            let age = Instant::now().saturating_duration_since(object.produced);
            let max_age = object.max_age.min(age);
            *object = Arc::new(Object { max_age, ..Object::clone(object) });
        } else {
            self.remove(path);
        }
        true
    }

    fn remove(&mut self, key: &str) {
        if let Some(object) = self.objects.remove(key) {
            self.bytes -= object.body.len();
        }
    }
}

/// Live channels an edge is asked for at a time, with room to spare; a few KB each.
const MAX_DOCUMENTS: usize = 4096;
/// For when they are larger.
const MAX_BYTES: usize = 64 << 20;
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
        assert_eq!(documents.map().objects.len(), MAX_DOCUMENTS);
        assert!(documents.fresh("0", now).is_none() && documents.fresh("1", now).is_some());
    }

    #[test]
    fn bytes_are_bounded_as_well() {
        let (documents, now) = (Documents::default(), Instant::now());
        for index in 0..200_u32 {
            let body = Bytes::from_static(&[0; 1 << 20]);
            let produced = now + Duration::from_millis(index.into());
            let object = Object { body, ..Object::clone(&document(produced)) };
            documents.insert(&(index % 100).to_string(), Arc::new(object));
        }
        assert_eq!(documents.map().bytes, MAX_BYTES);
        assert_eq!(documents.map().objects.len(), 64);
        assert!(documents.fresh("99", now).is_some() && documents.fresh("30", now).is_none());
        (0..100).for_each(|key| documents.remove(&key.to_string()));
        assert_eq!(documents.map().bytes, 0);
    }
}
