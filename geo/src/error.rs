//! What can be wrong with the tables that say where addresses are.

/// A table that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bytes are not a MaxMind-format database, or only part of one.
    #[error(
        "the geo database of {length} bytes cannot be read: it is damaged, cut short, or not in MaxMind DB format; \
         fetch it again"
    )]
    Database {
        length: usize,
        #[source]
        source: maxminddb::MaxMindDbError,
    },
    /// A network is listed for a region that has no entry of its own.
    #[error("{what} names the region {region}, which is not listed: add [geo.regions.{region}]")]
    UnknownRegion { what: String, region: nearcast_api::Region },
    /// A latitude or longitude that is not on Earth.
    #[error(
        "the location of region {region} is not on Earth: latitude is -90 to 90, longitude -180 to 180 (degrees)"
    )]
    Location { region: nearcast_api::Region },
}
