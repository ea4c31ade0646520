//! A panic is a bug, never the end of the process: it is logged in one line and counted.

use std::panic::{self, PanicHookInfo};
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;

use crate::metrics::Registry;

static COUNT: AtomicU64 = AtomicU64::new(0);

/// Logs and counts every panic of the process from now on.
pub(crate) fn watch(registry: &Registry) {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| panic::set_hook(Box::new(report)));
    registry.register_collector(Box::new(Panics));
}

fn report(info: &PanicHookInfo<'_>) {
    COUNT.fetch_add(1, Ordering::Relaxed);
    let location = info.location().map(ToString::to_string).unwrap_or_default();
    let message = info.payload_as_str().unwrap_or("no message");
    tracing::error!(location, "a task panicked, which is a bug: {message}");
}

#[derive(Debug)]
struct Panics;

impl Collector for Panics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let count = ConstCounter::new(COUNT.load(Ordering::Relaxed));
        count.encode(encoder.encode_descriptor(
            "panics",
            "Panics of tasks; each is a bug",
            None,
            count.metric_type(),
        )?)
    }
}
