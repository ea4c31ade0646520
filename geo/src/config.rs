//! What an operator writes about where things are.

use std::path::PathBuf;

use ipnet::IpNet;
use nearcast_api::node::Location;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Regions and how addresses are told apart. The default is the development world of two regions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The region of whoever no table knows, loopback and private networks among them; empty for the first one listed.
    #[serde(with = "optional")]
    pub default_region: Option<nearcast_api::Region>,
    /// A database in MaxMind DB format, asked when no region lists an address's network; empty for none.
    pub database: PathBuf,
    /// The operator's regions. A list in a file replaces the whole default.
    pub regions: Vec<Region>,
}

/// One region.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Region {
    pub id: nearcast_api::Region,
    /// Where its nodes stand (those that do not say), and its viewers (those the database does not place).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<Location>,
    /// Networks it serves (`198.51.100.0/24`, `2001:db8::/32`), before anything the database says; the longest wins.
    #[serde(default)]
    pub networks: Vec<IpNet>,
    /// Countries it serves, ISO 3166-1 alpha-2, before continents and distance.
    #[serde(default)]
    pub countries: Vec<String>,
    /// Continents it serves: AF AN AS EU NA OC SA.
    #[serde(default)]
    pub continents: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        let region = |id: &str, latitude, longitude, network: &str, continents: &[&str]| {
            Some(Region {
                id: id.parse().ok()?,
                location: Some(Location { latitude, longitude }),
                networks: network.parse().into_iter().collect(),
                countries: Vec::new(),
                continents: continents.iter().map(|&code| code.to_owned()).collect(),
            })
        };
        let eu = region("eu", 50.11, 8.68, "198.51.100.0/24", &["EU", "AF", "AS"]);
        let us = region("us", 39.04, -77.49, "203.0.113.0/24", &["NA", "SA", "OC", "AN"]);
        Self { default_region: None, database: PathBuf::new(), regions: eu.into_iter().chain(us).collect() }
    }
}

/// TOML has no null: no region is the empty string.
mod optional {
    use super::*;

    pub(super) fn serialize<S: Serializer>(
        region: &Option<nearcast_api::Region>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.serialize_str(region.as_ref().map_or("", |region| region.as_str()))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<nearcast_api::Region>, D::Error> {
        let text = String::deserialize(from)?;
        if text.is_empty() { Ok(None) } else { text.parse().map(Some).map_err(serde::de::Error::custom) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_is_read() {
        let written = toml::to_string(&Config::default()).unwrap();
        assert_eq!(toml::from_str::<Config>(&written).unwrap(), Config::default());
        assert!(toml::from_str::<Config>("regoins = []").is_err(), "an unknown key is a typing mistake");
        assert!(
            toml::from_str::<Config>("regions = [{ id = 'eu', networks = ['198.51.100.0/33'] }]").is_err()
        );
        assert!(toml::from_str::<Config>("default_region = 'E U'").is_err());
    }
}
