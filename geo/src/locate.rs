//! From an address to a place.

use std::net::IpAddr;

use nearcast_api::Region;
use nearcast_api::playback::Country;

use crate::{Atlas, Config, Database, Error, Networks, Place};

/// The operator's tables and, when there is one, a database.
#[derive(Debug)]
pub struct Locator {
    networks: Networks<Region>,
    database: Option<Database>,
    default_region: Option<Region>,
    atlas: Atlas,
}

/// A place, and what the answer hangs on.
#[derive(Debug, Clone, PartialEq)]
pub struct Located {
    pub place: Place,
    /// Leading bits of the address that decided: everyone who shares them is at the same place (the SCOPE PREFIX-LENGTH
    /// of RFC 7871 §7.2.1). Counted in the family that was asked, so up to 32 or 128; 0 when no table depends on the address.
    pub scope: u8,
}

impl Locator {
    /// # Errors
    /// When the default region is not listed, a region is listed twice or is not on Earth.
    pub fn new(config: &Config, database: Option<Database>) -> Result<Self, Error> {
        let mut ids = config.regions.iter().map(|region| &region.id);
        let default_region = match &config.default_region {
            None => ids.next().cloned(),
            Some(region) if ids.any(|id| id == region) => Some(region.clone()),
            Some(region) => return Err(Error::UnknownRegion { region: region.clone() }),
        };
        let listed = |region: &crate::Region| {
            let id = region.id.clone();
            region.networks.clone().into_iter().map(move |network| (network, id.clone()))
        };
        Ok(Self {
            networks: Networks::new(config.regions.iter().flat_map(listed)),
            database,
            default_region,
            atlas: Atlas::new(config)?,
        })
    }

    /// The regions this locator answers with.
    pub fn atlas(&self) -> &Atlas {
        &self.atlas
    }

    /// Whether there is a database that may know countries.
    pub fn knows_countries(&self) -> bool {
        self.database.is_some()
    }

    /// In which country `address` is, as far as the database knows.
    pub fn country(&self, address: IpAddr) -> Option<Country> {
        self.database.as_ref()?.country(address)?.parse().ok()
    }

    /// Where `address` is: the table of networks first, then the database, then the default region.
    pub fn locate(&self, address: IpAddr) -> Located {
        let (region, scope) = self.networks.lookup(address);
        if let Some(region) = region {
            return Located { place: self.in_region(region), scope };
        }
        let Some(database) = &self.database else {
            return Located { place: self.by_default(), scope };
        };
        let entry = database.lookup(address);
        // Both tables had to be looked at, so the longer of the two decided.
        let scope = scope.max(entry.scope);
        let region = self.atlas.region_of(entry.country.as_deref(), entry.continent.as_deref());
        let place = match (region, entry.location) {
            (None, None) => self.by_default(),
            (Some(region), None) => self.in_region(region),
            (region, location) => Place { region: region.cloned(), location, country: None },
        };
        let country = entry.country.and_then(|code| code.parse().ok());
        Located { place: Place { country, ..place }, scope }
    }

    fn in_region(&self, region: &Region) -> Place {
        Place { region: Some(region.clone()), location: self.atlas.location(region), country: None }
    }

    fn by_default(&self) -> Place {
        self.default_region.as_ref().map(|region| self.in_region(region)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::tests::PLACES;

    fn region_and_scope(locator: &Locator, address: &str) -> (Option<String>, u8) {
        let located = locator.locate(address.parse().unwrap());
        (located.place.region.map(String::from), located.scope)
    }

    #[test]
    fn the_development_world_is_told_apart_without_a_database() {
        let locator = Locator::new(&Config::default(), None).unwrap();
        assert_eq!(region_and_scope(&locator, "198.51.100.9"), (Some("eu".into()), 24));
        assert_eq!(region_and_scope(&locator, "203.0.113.9"), (Some("us".into()), 24));
        assert_eq!(region_and_scope(&locator, "::ffff:203.0.113.9"), (Some("us".into()), 120));
        assert_eq!(region_and_scope(&locator, "127.0.0.1").0, Some("eu".into()));
        assert_eq!(region_and_scope(&locator, "::1"), (Some("eu".into()), 0));
    }

    #[test]
    fn the_table_goes_before_the_database_and_the_longer_look_is_the_scope() {
        let mut config = Config::default();
        config.regions[0].networks = vec!["203.0.113.128/26".parse().unwrap()];
        config.regions[1].networks.clear();
        let database = Database::parse(PLACES.to_vec()).unwrap();
        let locator = Locator::new(&config, Some(database)).unwrap();
        assert_eq!(region_and_scope(&locator, "203.0.113.129"), (Some("eu".into()), 26));
        assert_eq!(region_and_scope(&locator, "203.0.113.200"), (Some("us".into()), 26));
        assert_eq!(region_and_scope(&locator, "203.0.113.1"), (Some("us".into()), 25));
        assert_eq!(region_and_scope(&locator, "192.0.2.1"), (Some("us".into()), 28));
        let paris = locator.locate("2001:db8:10::1".parse().unwrap());
        assert_eq!(paris.place.location.unwrap().latitude, 48.86);
        assert_eq!(paris.place.country, "FR".parse().ok());
        let country = |address: &str| locator.country(address.parse().unwrap()).map(String::from);
        assert_eq!((country("203.0.113.200").as_deref(), country("8.8.8.8")), (Some("CA"), None));
    }

    #[test]
    fn a_table_that_cannot_be_meant_is_refused() {
        let mut config = Config { default_region: "mars".parse().ok(), ..Config::default() };
        let error = Locator::new(&config, None).unwrap_err().to_string();
        assert!(error.contains("mars") && error.contains("geo.regions"), "{error}");

        config = Config::default();
        config.regions[1].id = "eu".parse().unwrap();
        assert!(matches!(Locator::new(&config, None), Err(Error::TwiceListed { .. })));

        config = Config::default();
        config.regions[0].location.as_mut().unwrap().latitude = 91.0;
        assert!(matches!(Locator::new(&config, None), Err(Error::Location { .. })));
    }

    #[test]
    fn the_default_is_the_region_that_is_named_or_the_first() {
        let config = Config { default_region: "us".parse().ok(), ..Config::default() };
        assert_eq!(region_and_scope(&Locator::new(&config, None).unwrap(), "127.0.0.1").0, Some("us".into()));
        let config = Config { regions: Vec::new(), ..Config::default() };
        assert_eq!(region_and_scope(&Locator::new(&config, None).unwrap(), "127.0.0.1"), (None, 0));
    }
}
