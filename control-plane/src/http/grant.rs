//! What a token or a user is to be allowed, checked.

use nearcast_api::ChannelId;

use crate::access::{Grant, Scope};
use crate::error::{Error, Result};

/// The grant of what a caller names.
///
/// # Errors
/// [`Error::Invalid`] when there is no scope, or there are too many channels.
pub(super) fn check(mut scopes: Vec<Scope>, mut channels: Vec<ChannelId>) -> Result<Grant> {
    let invalid = |field, problem: &str| Err(Error::Invalid { field, problem: problem.to_owned() });
    scopes.sort_unstable();
    scopes.dedup();
    channels.sort_unstable();
    channels.dedup();
    if scopes.is_empty() {
        return invalid("scopes", "name at least one: admin, operator, publisher, moderator, read-only");
    }
    if channels.len() > MAX_CHANNELS {
        return invalid("channels", "at most 100; leave them out for all");
    }
    Ok(Grant { scopes, channels })
}

const MAX_CHANNELS: usize = 100;
