//! A database in MaxMind DB format (GeoLite2 City or Country, DB-IP and the like) that the caller has read.

use std::net::IpAddr;

use maxminddb::Reader;
use nearcast_api::node::Location;
use serde::Deserialize;

use crate::Error;
use crate::networks::MAPPED_BITS;
use crate::place::is_on_earth;

/// An opened database.
#[derive(Debug)]
pub struct Database {
    reader: Reader<Vec<u8>>,
}

/// What the database says of one address, and how many of its leading bits decided.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Entry {
    /// ISO 3166-1 alpha-2.
    pub(crate) country: Option<String>,
    /// GeoNames' two letters: `AF AN AS EU NA OC SA`.
    pub(crate) continent: Option<String>,
    pub(crate) location: Option<Location>,
    pub(crate) scope: u8,
}

impl Database {
    /// Opens a database from its file's bytes.
    ///
    /// # Errors
    /// [`Error::Database`] when the bytes are no such database or the end is missing (the metadata stands there).
    pub fn parse(bytes: Vec<u8>) -> Result<Self, Error> {
        let length = bytes.len();
        let reader = Reader::from_source(bytes).map_err(|source| Error::Database { length, source })?;
        Ok(Self { reader })
    }

    /// The country of an address, ISO 3166-1 alpha-2.
    pub fn country(&self, address: IpAddr) -> Option<String> {
        self.lookup(address).country
    }

    /// An address that is not in the database, or whose record is damaged, has an empty entry.
    pub(crate) fn lookup(&self, address: IpAddr) -> Entry {
        let canonical = address.to_canonical();
        let Ok(result) = self.reader.lookup(canonical) else { return Entry::default() };
        let record = result.decode::<Record>().ok().flatten().unwrap_or_default();
        // For an IPv4 address in a tree without an IPv4 part the network is an IPv6 one: no bit of the address mattered.
        let depth = match (canonical, result.network()) {
            (IpAddr::V4(_), Ok(network)) if network.is_ipv4() => network.prefix(),
            (IpAddr::V6(_), Ok(network)) => network.prefix(),
            _ => 0,
        };
        let mapped = canonical.is_ipv4() && address.is_ipv6() && depth > 0;
        let located = |p: &Point| Some(Location { latitude: p.latitude?, longitude: p.longitude? });
        Entry {
            country: record.country.iso_code,
            continent: record.continent.code,
            location: located(&record.location).filter(|location| is_on_earth(*location)),
            scope: if mapped { depth + MAPPED_BITS } else { depth },
        }
    }
}

/// The few fields we read, each of which may be missing.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Record {
    continent: Continent,
    country: Country,
    location: Point,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Continent {
    code: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Country {
    iso_code: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Point {
    latitude: Option<f64>,
    longitude: Option<f64>,
}

/// Opens any bytes and, when that works, looks addresses up: must neither panic nor hang.
pub fn fuzz(data: &[u8]) {
    let Ok(database) = Database::parse(data.to_vec()) else { return };
    for address in
        ["198.51.100.1", "203.0.113.200", "2001:db8:10::1", "::", "::ffff:1.2.3.4", "255.255.255.255"]
    {
        if let Ok(address) = address.parse() {
            let entry = database.lookup(address);
            assert!(entry.scope <= 128, "a scope longer than an address");
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(crate) const PLACES: &[u8] = include_bytes!("../testdata/places.mmdb");

    fn lookup(address: &str) -> Entry {
        Database::parse(PLACES.to_vec()).unwrap().lookup(address.parse().unwrap())
    }

    #[test]
    fn a_city_is_found_with_the_length_of_its_network() {
        let frankfurt = lookup("198.51.100.7");
        assert_eq!(frankfurt.country.as_deref(), Some("DE"));
        assert_eq!(frankfurt.continent.as_deref(), Some("EU"));
        assert_eq!(frankfurt.location, Some(Location { latitude: 50.11, longitude: 8.68 }));
        assert_eq!(frankfurt.scope, 24);
        assert_eq!(lookup("203.0.113.7").scope, 25);
        assert_eq!(lookup("203.0.113.200").country.as_deref(), Some("CA"));
        assert_eq!(lookup("2001:db8:1f::1").scope, 44);
        assert_eq!(lookup("::ffff:198.51.100.7").scope, 120);
    }

    #[test]
    fn a_country_without_a_location_and_an_unknown_address_are_answers_too() {
        let wellington = lookup("192.0.2.3");
        assert_eq!((wellington.country.as_deref(), wellington.location), (Some("NZ"), None));
        let unknown = lookup("8.8.8.8");
        assert_eq!((unknown.country, unknown.location), (None, None));
        assert!(unknown.scope > 0, "its being unknown depends on its bits");
    }

    #[test]
    fn a_database_that_is_cut_short_is_refused_with_what_to_do() {
        for length in [0, 1, 100, PLACES.len() / 2, PLACES.len() - 1] {
            let error = Database::parse(PLACES[..length].to_vec()).unwrap_err().to_string();
            assert!(error.contains("fetch it again"), "{error}");
        }
    }

    #[test]
    fn fuzz_survives_every_single_byte_change() {
        for at in 0..PLACES.len() {
            let mut bytes = PLACES.to_vec();
            bytes[at] ^= 0xff;
            fuzz(&bytes);
        }
    }

    proptest! {
        #[test]
        fn fuzz_survives_noise(data in prop::collection::vec(any::<u8>(), 0..512)) {
            fuzz(&data);
        }

        #[test]
        fn fuzz_survives_damage(edits in prop::collection::vec((0..PLACES.len(), any::<u8>()), 1..8), cut in 0..64usize) {
            let mut bytes = PLACES.to_vec();
            for (at, value) in edits {
                bytes[at] = value;
            }
            bytes.drain(..cut);
            fuzz(&bytes);
        }
    }
}
