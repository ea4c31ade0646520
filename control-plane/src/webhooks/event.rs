//! What receivers are told: the events, their ids and their bodies. Pure.

use std::fmt;

use nearcast_api::node::{Role, Spec as NodeSpec, Status};
use nearcast_api::snapshot::{KeyHash, Live};
use nearcast_api::{BroadcastId, ChannelId, NodeId, Region};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use utoipa::ToSchema;

use crate::keys;

macro_rules! kinds {
    ($($(#[doc = $help:literal])+ $name:ident: $text:literal, $schema:literal;)*) => {
        /// A kind of event.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
        #[schema(as = WebhookEvent)]
        pub enum Kind {
            $($(#[doc = $help])+ #[serde(rename = $text)] $name,)*
        }

        impl Kind {
            /// All of them, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// As receivers see it.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// What it means.
            pub fn help(self) -> &'static str {
                match self { $(Self::$name => concat!($($help),+).trim_ascii(),)* }
            }

            /// The schema of its `data` in the API's document.
            pub fn schema(self) -> &'static str {
                match self { $(Self::$name => $schema,)* }
            }
        }
    };
}

kinds! {
    /// A broadcast has begun: once for each broadcast.
    ChannelLive: "channel.live", "EventBroadcast";
    /// A broadcast is over, and has not come back for ten seconds.
    ChannelEnded: "channel.ended", "EventBroadcast";
    /// Another origin goes on with a broadcast.
    ChannelTakenOver: "channel.taken_over", "EventBroadcast";
    /// A channel was made.
    ChannelCreated: "channel.created", "EventChannel";
    /// A channel's title, profile or settings were changed.
    ChannelChanged: "channel.changed", "EventChannel";
    /// A channel was deleted, and with it its stream keys and what was live on it.
    ChannelDeleted: "channel.deleted", "EventChannel";
    /// A stream key was made.
    KeyCreated: "key.created", "EventKey";
    /// A stream key was rotated, switched off or on, or has another label.
    KeyChanged: "key.changed", "EventKey";
    /// A stream key was deleted.
    KeyDeleted: "key.deleted", "EventKey";
    /// A node has registered for the first time.
    NodeRegistered: "node.registered", "EventNode";
    /// A node has begun, and nobody is sent to it yet.
    NodeJoining: "node.joining", "EventNode";
    /// A node takes work: it has joined, is heard again, or its drain has ended.
    NodeReady: "node.ready", "EventNode";
    /// A node wants or is to have no new work.
    NodeDraining: "node.draining", "EventNode";
    /// A node is not heard any more.
    NodeDown: "node.down", "EventNode";
    /// An operator had a node forgotten.
    NodeForgotten: "node.forgotten", "EventNode";
    /// Somebody wanted to see whether deliveries arrive. It is sent whatever a webhook wants.
    Test: "test", "EventTest";
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The same for the same event, whoever saw it and however often it is delivered.
    pub id: String,
    pub kind: Kind,
    /// Milliseconds since the Unix epoch.
    pub at: u64,
    about: About,
}

/// What it happened to.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum About {
    Broadcast(Broadcast),
    Channel(Channel),
    Key(Key),
    Node(Node),
    Test(Test),
}

/// `data` of events about broadcasts.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = EventBroadcast)]
pub struct Broadcast {
    channel: ChannelId,
    /// The channel's.
    title: String,
    broadcast: BroadcastId,
    /// The one that has it, or had it last.
    origin: NodeId,
    /// Milliseconds since the Unix epoch.
    started_at: u64,
    /// `channel.taken_over`: the origin that had it before.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    from: Option<NodeId>,
}

/// `data` of events about channels.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = EventChannel)]
pub struct Channel {
    channel: ChannelId,
    title: String,
    /// `channel.changed`: which of `title` and `settings`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    changed: Vec<&'static str>,
}

/// `data` of events about stream keys.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = EventKey)]
pub struct Key {
    channel: ChannelId,
    /// The key's id, never the key.
    key: String,
    label: String,
    backup: bool,
}

/// `data` of events about nodes.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = EventNode)]
pub struct Node {
    node: NodeId,
    role: Role,
    region: Region,
}

/// `data` of `test`.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = EventTest)]
pub struct Test {
    webhook: String,
}

/// What is sent.
#[derive(Serialize)]
struct Body<'a> {
    id: &'a str,
    r#type: Kind,
    timestamp: String,
    at: u64,
    data: &'a About,
}

impl Kind {
    /// Whether it is about the network, which is the operator's, and belongs to no channel.
    pub fn is_of_nodes(self) -> bool {
        match self {
            Self::NodeRegistered
            | Self::NodeJoining
            | Self::NodeReady
            | Self::NodeDraining
            | Self::NodeDown
            | Self::NodeForgotten => true,
            Self::ChannelLive
            | Self::ChannelEnded
            | Self::ChannelTakenOver
            | Self::ChannelCreated
            | Self::ChannelChanged
            | Self::ChannelDeleted
            | Self::KeyCreated
            | Self::KeyChanged
            | Self::KeyDeleted
            | Self::Test => false,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

impl Event {
    /// `occasion` tells it from all others of its kind; who uses the same twice means the same event.
    pub fn new(kind: Kind, occasion: &str, at: u64, about: About) -> Self {
        Self { id: Self::id_of(kind, occasion), kind, at, about }
    }

    /// The id of what happens on an occasion.
    pub fn id_of(kind: Kind, occasion: &str) -> String {
        let KeyHash(hash) = keys::hash(&format!("{kind} {occasion}"));
        format!("evt_{}", &hash[..32])
    }

    /// The channel that it happened to.
    pub fn channel(&self) -> Option<&ChannelId> {
        match &self.about {
            About::Broadcast(Broadcast { channel, .. })
            | About::Channel(Channel { channel, .. })
            | About::Key(Key { channel, .. }) => Some(channel),
            About::Node(_) | About::Test(_) => None,
        }
    }

    /// As it is sent.
    pub fn body(&self) -> String {
        let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.at) * 1_000_000);
        let timestamp = time.ok().and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_default();
        let body = Body { id: &self.id, r#type: self.kind, timestamp, at: self.at, data: &self.about };
        // Structs of texts and numbers always have a JSON form.
        serde_json::to_string(&body).unwrap_or_default()
    }
}

impl About {
    pub fn broadcast(channel: &ChannelId, title: &str, live: &Live, from: Option<NodeId>) -> Self {
        let Live { origin, broadcast, started_at, .. } = live.clone();
        Self::Broadcast(Broadcast {
            channel: channel.clone(),
            title: title.into(),
            broadcast,
            origin,
            started_at,
            from,
        })
    }

    pub fn channel(channel: &ChannelId, title: &str, changed: Vec<&'static str>) -> Self {
        Self::Channel(Channel { channel: channel.clone(), title: title.into(), changed })
    }

    pub fn key(channel: &ChannelId, key: &str, label: &str, backup: bool) -> Self {
        Self::Key(Key { channel: channel.clone(), key: key.into(), label: label.into(), backup })
    }

    pub fn node(spec: &NodeSpec) -> Self {
        Self::Node(Node { node: spec.id.clone(), role: spec.role, region: spec.region.clone() })
    }

    pub fn test(webhook: &str) -> Self {
        Self::Test(Test { webhook: webhook.into() })
    }
}

impl From<Status> for Kind {
    fn from(status: Status) -> Self {
        match status {
            Status::Joining => Self::NodeJoining,
            Status::Ready => Self::NodeReady,
            Status::Draining => Self::NodeDraining,
            Status::Down => Self::NodeDown,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_body_says_what_happened_when_and_to_what() {
        let live = Live {
            origin: "origin-1".parse().unwrap(),
            broadcast: "b1".parse().unwrap(),
            started_at: 5,
            taken_over_at: None,
        };
        let about = About::broadcast(&"demo".parse().unwrap(), "Demo", &live, None);
        let event = Event::new(Kind::ChannelLive, "demo b1", 1_700_000_000_123, about);
        let body: Value = serde_json::from_str(&event.body()).unwrap();
        let data = json!({ "channel": "demo", "title": "Demo", "broadcast": "b1", "origin": "origin-1", "started_at": 5 });
        let expected = json!({
            "id": event.id, "type": "channel.live", "timestamp": "2023-11-14T22:13:20.123Z", "at": 1_700_000_000_123_u64,
            "data": data
        });
        assert_eq!(body, expected);
        assert_eq!(event.channel().unwrap().as_str(), "demo");
    }

    #[test]
    fn an_id_is_the_same_for_the_same_event_and_no_other() {
        let event = |kind, occasion: &str, at| Event::new(kind, occasion, at, About::test("w")).id;
        let one = event(Kind::ChannelLive, "demo b1", 1);
        assert_eq!(one, event(Kind::ChannelLive, "demo b1", 2));
        assert_ne!(one, event(Kind::ChannelEnded, "demo b1", 1));
        assert_ne!(one, event(Kind::ChannelLive, "demo b2", 1));
        assert!(one.len() == 36 && !one.contains('.'), "{one}");
    }

    #[test]
    fn every_name_is_read_back() {
        for kind in Kind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
            assert_eq!(serde_json::from_value::<Kind>(json!(kind.as_str())).unwrap(), *kind);
        }
    }
}
