//! The one shape of a failed request's body (RFC 9457, `application/problem+json`).

use serde::{Deserialize, Serialize};

/// A failure in words that say what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Problem {
    /// The HTTP status again, for readers that lost it.
    pub status: u16,
    /// The kind of failure: a short, stable phrase.
    pub title: String,
    /// This failure: what was attempted, why not, what to do.
    pub detail: String,
}

impl Problem {
    /// The body's media type.
    pub const CONTENT_TYPE: &'static str = "application/problem+json";
}
