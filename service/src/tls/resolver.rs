//! What a handshake is answered with, changed while connections are served.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::acme::Challenges;
use super::names::Certificates;

/// The certificates in use, one in each slot; slot 0 has the default.
#[derive(Debug)]
pub(super) struct Resolver {
    slots: Mutex<Vec<Arc<CertifiedKey>>>,
    certificates: ArcSwap<Certificates>,
    challenges: Challenges,
}

impl Resolver {
    pub(super) fn new(default: CertifiedKey, others: Vec<CertifiedKey>) -> Self {
        let slots: Vec<_> = [default].into_iter().chain(others).map(Arc::new).collect();
        let certificates = ArcSwap::from_pointee(Certificates::new(&slots[0], &slots[1..]));
        Self { slots: Mutex::new(slots), certificates, challenges: Challenges::default() }
    }

    /// From now on this one is used instead of what the slot has; a slot that is not there yet comes after the last.
    pub(super) fn put(&self, slot: usize, certified: CertifiedKey) {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let certified = Arc::new(certified);
        match slots.get_mut(slot) {
            Some(place) => *place = certified,
            None => slots.push(certified),
        }
        self.certificates.store(Arc::new(Certificates::new(&slots[0], &slots[1..])));
    }

    /// What an ACME server is to be shown.
    pub(super) fn challenges(&self) -> &Challenges {
        &self.challenges
    }

    /// For clients that ask for no name that is known.
    pub(super) fn default(&self) -> Arc<CertifiedKey> {
        Arc::clone(self.certificates.load().default())
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        if Challenges::is_asked(&hello) {
            return self.challenges.of(hello.server_name()?);
        }
        Some(Arc::clone(self.certificates.load().of(hello.server_name())))
    }
}
