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
    /// The default is none of the regions.
    #[error("geo.default_region is {region}, which is not listed: add it to geo.regions")]
    UnknownRegion { region: nearcast_api::Region },
    #[error("the region {region} is listed twice in geo.regions: put its networks in one entry")]
    TwiceListed { region: nearcast_api::Region },
    /// A latitude or longitude that is not on Earth.
    #[error(
        "the location of region {region} is not on Earth: latitude is -90 to 90, longitude -180 to 180 (degrees)"
    )]
    Location { region: nearcast_api::Region },
}
