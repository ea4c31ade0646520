//! Where an address is, how far that is, and which node should serve it: pure functions, no IO, no clock.
//!
//! [`Locator`] turns an address into a [`Place`], first by the operator's own table of networks, then by a
//! MaxMind-format [`Database`]. [`Atlas::rank`] orders nodes for a place: healthy ones, then those of the viewer's region,
//! then the nearest, then an even spread. Both say how much of the address they looked at ([`Located::scope`],
//! [`Ranked::spread`]), because a DNS resolver may give the answer to everybody who shares that much.

mod atlas;
mod config;
mod database;
mod error;
mod locate;
mod networks;
mod place;
mod rank;

pub use atlas::Atlas;
pub use config::{Config, Region};
pub use database::{Database, fuzz as fuzz_database};
pub use error::Error;
pub use locate::{Located, Locator};
pub use networks::Networks;
pub use place::{Place, distance_km};
pub use rank::{Ranked, spread_key};
