//! What an operator writes about where things are.

use std::collections::BTreeMap;
use std::path::PathBuf;

use ipnet::IpNet;
use nearcast_api::node::Location;
use serde::{Deserialize, Serialize};

/// Regions and how addresses are told apart. The default is the development world of two regions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The region of whoever no table knows, loopback and private networks among them. Empty: no preference.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_region: Option<nearcast_api::Region>,
    /// A database in MaxMind DB format, asked when `networks` does not know an address. Empty: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<PathBuf>,
    /// Networks (`198.51.100.0/24`, `2001:db8::/32`) to regions; the longest wins, before the database.
    pub networks: BTreeMap<IpNet, nearcast_api::Region>,
    /// The operator's regions.
    pub regions: BTreeMap<nearcast_api::Region, Region>,
}

/// One region.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Region {
    /// Where its nodes stand (those that do not say), and its viewers (those the database does not place).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<Location>,
    /// Countries it serves, ISO 3166-1 alpha-2, before continents and distance.
    pub countries: Vec<String>,
    /// Continents it serves: AF AN AS EU NA OC SA.
    pub continents: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        let id = |name: &str| name.parse::<nearcast_api::Region>().ok();
        let region = |name, latitude, longitude, continents: &[&str]| {
            let region = Region {
                location: Some(Location { latitude, longitude }),
                countries: Vec::new(),
                continents: continents.iter().map(|&code| code.to_owned()).collect(),
            };
            id(name).map(|id| (id, region))
        };
        let network = |net: &str, name| Some((net.parse().ok()?, id(name)?));
        Self {
            default_region: id("eu"),
            database: None,
            networks: [network("198.51.100.0/24", "eu"), network("203.0.113.0/24", "us")]
                .into_iter()
                .flatten()
                .collect(),
            regions: [
                region("eu", 50.11, 8.68, &["EU", "AF", "AS"]),
                region("us", 39.04, -77.49, &["NA", "SA", "OC"]),
            ]
            .into_iter()
            .flatten()
            .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_is_read() {
        let written = toml::to_string(&Config::default()).unwrap();
        assert_eq!(toml::from_str::<Config>(&written).unwrap(), Config::default());
        assert!(toml::from_str::<Config>("regoins = {}").is_err(), "an unknown key is a typing mistake");
        assert!(toml::from_str::<Config>("[networks]\n'198.51.100.0/33' = 'eu'").is_err());
    }
}
