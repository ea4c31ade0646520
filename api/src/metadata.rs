//! Timed metadata: what an operator's program says of a broadcast, on its way to the origin that packages it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{BroadcastId, ChannelId};

/// Something that happens in a broadcast. It becomes an `EXT-X-DATERANGE` in every playlist and an `emsg` box in the
/// media.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Metadata {
    /// 1 to 64 of `A-Z a-z 0-9 . _ : -`, unique in the broadcast; what comes again under one id is left out. A random
    /// one when left out.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// Media time: milliseconds since the Unix epoch on the broadcast's clock (`EXT-X-PROGRAM-DATE-TIME`), up to an hour
    /// ago and a day ahead. Left out for now, the next part that is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<u64>,
    /// Seconds, up to a day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<f64>,
    /// What kind of event it is, as a reverse DNS name: `com.example.goal`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// At most 32, with names like `X-TEAM`: `X-`, then `A-Z`, `0-9` and `-`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, Attribute>,
    /// The message in the media. Left out, it is an ID3 tag that holds the id and the attributes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id3: Option<Message>,
    /// A URI that says what the message is; ID3 (`https://aomedia.org/emsg/ID3`) when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheme: Option<String>,
}

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(untagged)]
pub enum Attribute {
    Number(f64),
    Text(String),
}

/// A message in the media.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(untagged)]
pub enum Message {
    /// The whole of it, in base64 (RFC 4648 §4).
    Data(String),
    /// ID3 text frames by name, `TIT2`, or `TXXX:` and a description of one's own.
    Frames(BTreeMap<String, String>),
}

/// Metadata for one broadcast of an origin. It is repeated in the answers to heartbeats until the origin says that it
/// has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Command {
    /// Names this handing over, not the event.
    pub number: u64,
    pub channel: ChannelId,
    pub broadcast: BroadcastId,
    pub metadata: Metadata,
}
