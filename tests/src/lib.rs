//! The harness of the system tests: whole worlds of real processes, and clients that share no code with them.
//!
//! A case is ten lines:
//! ```no_run
//! # use nearcast_tests::{client::Protocol, player::{self, Until}, publisher::Feed, world::World};
//! # async fn case() -> anyhow::Result<()> {
//! let world = World::builder("watch").start().await?;
//! let _publisher = world.broadcast("demo", &Feed::pattern(360)).await?;
//! let viewer = world.viewer("eu-1", Protocol::H3).await?;
//! for rendition in player::renditions(&viewer, "demo").await? {
//!     player::follow(&viewer, &rendition, Until::Segments(3)).await?.strict()?;
//! }
//! # Ok(()) }
//! ```

pub mod acme;
pub mod admin;
pub mod browser;
pub mod captions;
pub mod certificate;
pub mod cli;
pub mod client;
pub mod dns;
pub mod foreign;
pub mod lossy;
pub mod metrics;
pub mod mpd;
pub mod obs;
pub mod picture;
pub mod player;
pub mod ports;
pub mod postgres;
pub mod probe;
pub mod process;
pub mod proxy;
pub mod publisher;
pub mod recording;
pub mod vtt;
pub mod world;
