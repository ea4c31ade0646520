//! Metrics as fields of structs whose doc comments are the help texts.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text;
pub use prometheus_client::metrics::{
    counter::Counter, family::Family, gauge::Gauge, histogram::Histogram, histogram::exponential_buckets,
};
use prometheus_client::registry;
pub use prometheus_client::{encoding::EncodeLabelSet, encoding::EncodeLabelValue};

/// The media type of [`Registry::render`]'s text.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All metrics of a process, each name prefixed with `nearcast_`. Clones are the same registry.
#[derive(Clone)]
pub struct Registry(Arc<Mutex<registry::Registry>>);

impl Registry {
    /// An empty registry.
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(registry::Registry::with_prefix("nearcast"))))
    }

    /// Adds a metric. `name` has no unit suffix of counters (`_total` is added), `help` no full stop.
    pub fn register(&self, name: impl Into<String>, help: &str, metric: impl registry::Metric) {
        self.lock().register(name, help.trim().trim_end_matches('.'), metric);
    }

    /// Adds a source that is read at each scrape.
    pub fn register_collector(&self, collector: Box<dyn Collector>) {
        self.lock().register_collector(collector);
    }

    /// OpenMetrics text.
    pub fn render(&self) -> String {
        let mut out = String::new();
        // Writing to a String cannot fail.
        let _infallible = text::encode(&mut out, &self.lock());
        out
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, registry::Registry> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Registry {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("metrics::Registry")
    }
}

/// Declares a struct of metrics with `register(&Registry) -> Self`. Names are `nearcast_{prefix}_{field}`,
/// help texts the doc comments; a metric without a `Default` (a histogram) gives its constructor after `=`.
///
/// ```
/// use nearcast_service::metrics::{Counter, Histogram, Registry, exponential_buckets};
/// nearcast_service::metrics! {
///     /// What the cache counts.
///     pub struct Metrics: "cache" {
///         /// Requests answered from memory.
///         pub hits: Counter,
///         /// Seconds a fill took.
///         pub fill_seconds: Histogram = Histogram::new(exponential_buckets(0.001, 2.0, 12)),
///     }
/// }
/// let registry = Registry::new();
/// let metrics = Metrics::register(&registry);
/// metrics.hits.inc();
/// assert!(registry.render().contains("# HELP nearcast_cache_hits Requests answered from memory."));
/// assert!(registry.render().contains("nearcast_cache_hits_total 1"));
/// ```
#[macro_export]
macro_rules! metrics {
    ($(#[$meta:meta])* $vis:vis struct $name:ident: $prefix:literal {
        $($(#[doc = $help:literal])+ $fvis:vis $field:ident: $type:ty $(= $new:expr)?,)+
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone)]
        $vis struct $name {
            $($(#[doc = $help])+ $fvis $field: $type,)+
        }

        impl $name {
            /// Adds the metrics to the registry; call it once per registry.
            $vis fn register(registry: &$crate::metrics::Registry) -> Self {
                let this = Self { $($field: $crate::metrics!(@new $type $(, $new)?),)+ };
                $(registry.register(
                    concat!($prefix, "_", stringify!($field)),
                    concat!($($help),+),
                    this.$field.clone(),
                );)+
                this
            }
        }
    };
    (@new $type:ty) => { <$type>::default() };
    (@new $type:ty, $new:expr) => { $new };
}
