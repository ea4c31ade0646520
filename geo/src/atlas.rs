//! The operator's regions: where each is, and which one serves a country or a continent.

use std::collections::{BTreeMap, BTreeSet};

use nearcast_api::Region;
use nearcast_api::node::{Location, Spec};

use crate::place::is_on_earth;
use crate::{Config, Error};

/// Regions, checked.
#[derive(Debug, Clone, Default)]
pub struct Atlas {
    locations: BTreeMap<Region, Location>,
    countries: BTreeMap<String, Region>,
    continents: BTreeMap<String, Region>,
}

impl Atlas {
    /// # Errors
    /// When a region is listed twice or its location is not on Earth.
    pub fn new(config: &Config) -> Result<Self, Error> {
        let mut atlas = Self::default();
        let mut seen = BTreeSet::new();
        for region in &config.regions {
            let id = &region.id;
            if !seen.insert(id) {
                return Err(Error::TwiceListed { region: id.clone() });
            }
            if let Some(location) = region.location {
                if !is_on_earth(location) {
                    return Err(Error::Location { region: id.clone() });
                }
                atlas.locations.insert(id.clone(), location);
            }
            let upper =
                |codes: &[String]| codes.iter().map(|code| code.to_ascii_uppercase()).collect::<Vec<_>>();
            atlas.countries.extend(upper(&region.countries).into_iter().map(|code| (code, id.clone())));
            atlas.continents.extend(upper(&region.continents).into_iter().map(|code| (code, id.clone())));
        }
        Ok(atlas)
    }

    /// Where a region is.
    pub fn location(&self, region: &Region) -> Option<Location> {
        self.locations.get(region).copied()
    }

    /// Where a node is: what it says itself, else its region.
    pub fn locate_node(&self, spec: &Spec) -> Option<Location> {
        spec.location.filter(|location| is_on_earth(*location)).or_else(|| self.location(&spec.region))
    }

    pub(crate) fn region_of(&self, country: Option<&str>, continent: Option<&str>) -> Option<&Region> {
        country
            .and_then(|code| self.countries.get(code))
            .or_else(|| continent.and_then(|code| self.continents.get(code)))
    }
}
