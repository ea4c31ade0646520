//! What deliveries count.

use nearcast_service::metrics::{Counter, Gauge, Histogram, exponential_buckets};

nearcast_service::metrics! {
    /// Metrics of webhooks.
    pub struct Metrics: "webhooks" {
        /// Deliveries that a receiver took.
        pub sent: Counter,
        /// Attempts that failed.
        pub failed: Counter,
        /// Deliveries that wait for their first or next attempt, as counted last, within a minute.
        pub waiting: Gauge,
        /// Deliveries that were given up in the last 30 days and not tried again, as counted last.
        pub dead: Gauge,
        /// Seconds from an event to its delivery.
        pub delivery_seconds: Histogram = Histogram::new(exponential_buckets(0.01, 4.0, 12)),
    }
}
