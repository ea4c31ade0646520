//! What the control plane counts.

use nearcast_api::node::Status;
use nearcast_api::snapshot::Snapshot;
use nearcast_service::metrics::{Counter, EncodeLabelSet, Family, Gauge};

nearcast_service::metrics! {
    /// Metrics of API, fleet and name server.
    pub struct Metrics: "control" {
        /// API requests answered, by route and status.
        pub api_requests: Family<ApiLabels, Counter>,
        /// DNS queries answered, by type and response code.
        pub dns_queries: Family<DnsLabels, Counter>,
        /// Registered nodes by status.
        pub nodes: Family<NodeLabels, Gauge>,
        /// Channels that are live now.
        pub live_channels: Gauge,
        /// Version of the newest snapshot.
        pub snapshot_version: Gauge,
        /// Rows of the audience that were written: minutes, and longer buckets made of them.
        pub audience_rows: Counter,
        /// Failures to keep minutes of the audience, or to make longer buckets of them; both are tried again.
        pub audience_failures: Counter,
        /// Minutes of the audience that are lost: the database took nothing for an hour.
        pub audience_lost: Counter,
        /// Failures to remember health, live broadcasts or versions in the database.
        pub failed_writes: Counter,
    }
}

/// Labels of [`Metrics::api_requests`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ApiLabels {
    /// The route's pattern, never a path somebody made up.
    pub route: String,
    pub status: u16,
}

/// Labels of [`Metrics::dns_queries`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct DnsLabels {
    /// `type` is a word of Rust's.
    pub kind: &'static str,
    pub rcode: &'static str,
}

/// Labels of [`Metrics::nodes`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct NodeLabels {
    pub status: &'static str,
}

impl Metrics {
    /// Shows what the snapshot says.
    pub fn observe(&self, snapshot: &Snapshot) {
        for (status, label) in [
            (Status::Joining, "joining"),
            (Status::Ready, "ready"),
            (Status::Draining, "draining"),
            (Status::Down, "down"),
        ] {
            let count = snapshot.nodes.values().filter(|node| node.status == status).count();
            self.nodes.get_or_create(&NodeLabels { status: label }).set(count as i64);
        }
        let live = snapshot.channels.values().filter(|channel| channel.live.is_some()).count();
        self.live_channels.set(live as i64);
        self.snapshot_version.set(snapshot.version.cast_signed());
    }
}
