//! What Nearcast processes say to each other: plain serde types, no IO and no clock.
//!
//! | message | from | to | over |
//! |---|---|---|---|
//! | [`node::Spec`] | every node | control plane | `PUT /api/v1/nodes/{node}` |
//! | [`enrol::Request`] | a new node | control plane | `POST /api/v1/enrol` |
//! | [`node::Heartbeat`] | every node | control plane | `POST /api/v1/nodes/{node}/heartbeat` |
//! | [`metadata::Command`] | control plane | an origin | the answer to its heartbeat |
//! | [`snapshot::Update`] | control plane | every node | `GET /api/v1/snapshot?since={version}&wait={seconds}` |
//! | [`steer::Steering`] | control plane | viewer page | `GET /api/v1/steer/{channel}` |
//! | [`Problem`] | every HTTP surface | its caller | any failed request |

pub mod audience;
pub mod channel;
pub mod enrol;
pub mod id;
pub mod ingest;
pub mod ladder;
pub mod metadata;
pub mod node;
pub mod playback;
mod problem;
pub mod purge;
pub mod snapshot;
pub mod steer;
pub mod topology;

pub use id::{BroadcastId, ChannelId, NodeId, Region, RenditionId, UserId};
pub use problem::Problem;
