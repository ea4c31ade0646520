//! Certificates are read again when their files change, and on SIGHUP.

use std::time::{Duration, SystemTime};

use tokio::signal::unix::{SignalKind, signal};

use super::Tls;
use crate::log::Chain;

/// How soon a renewed certificate is in use.
pub(super) const POLL: Duration = Duration::from_secs(10);

/// Runs until it is dropped.
pub(super) async fn follow(tls: Tls) {
    let mut hangup = match signal(SignalKind::hangup()) {
        Ok(hangup) => hangup,
        Err(error) => return tracing::warn!("certificates are not reloaded: {}", Chain(&error)),
    };
    let stamps = || -> Vec<Option<[SystemTime; 2]>> {
        tls.sources.iter().map(|(_, source)| source.changed_at()).collect()
    };
    let mut seen = stamps();
    loop {
        let asked = tokio::select! {
            _ = hangup.recv() => true,
            () = tokio::time::sleep(POLL) => false,
        };
        for ((index, now), seen) in stamps().into_iter().enumerate().zip(&mut seen) {
            // A file that is missing is being replaced; its next version counts.
            if !asked && (now == *seen || now.is_none()) {
                continue;
            }
            *seen = now;
            if let Err(error) = tls.reload_one(index) {
                tracing::warn!("the TLS certificate in use stays: {}", Chain(&error));
            }
        }
    }
}
