//! MPEG-DASH: the manifest of a broadcast (ISO/IEC 23009-1) over the same files that HLS names.
//!
//! It follows the restricted timing model of the DASH-IF guidelines for live services, and DASH-IF's Low-Latency
//! Modes for DASH: a segment is announced when its first part is there, and sent part by part as it grows. Times
//! stand on one line: the manifest's is the broadcast's own, whose zero is the availability start time.

pub mod manifest;
pub(crate) mod periods;

mod element;

/// The media type of a manifest (ISO/IEC 23009-1 annex C).
pub const CONTENT_TYPE: &str = "application/dash+xml";
