//! A place and the distance between two.

use nearcast_api::Region;
use nearcast_api::node::Location;
use nearcast_api::playback::Country;

/// What is known of where somebody is. Nothing at all is a valid answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Place {
    /// The operator's region that serves it.
    pub region: Option<Region>,
    pub location: Option<Location>,
    /// As the database has it.
    pub country: Option<Country>,
}

/// Kilometres between two points along a great circle (haversine; the Earth taken as a sphere, wrong by at most 0.5 %).
pub fn distance_km(a: Location, b: Location) -> f64 {
    let (lat_a, lat_b) = (a.latitude.to_radians(), b.latitude.to_radians());
    let half_lat = (lat_b - lat_a) / 2.0;
    let half_lon = (b.longitude - a.longitude).to_radians() / 2.0;
    let h = half_lat.sin().powi(2) + lat_a.cos() * lat_b.cos() * half_lon.sin().powi(2);
    // Rounding can push `h` past one for antipodes, and asin(1.0…1) is not a number.
    2.0 * EARTH_RADIUS_KM * h.clamp(0.0, 1.0).sqrt().asin()
}

/// True for a latitude and longitude that exist.
pub(crate) fn is_on_earth(location: Location) -> bool {
    (-90.0..=90.0).contains(&location.latitude) && (-180.0..=180.0).contains(&location.longitude)
}

/// The mean radius (IUGG R1).
const EARTH_RADIUS_KM: f64 = 6371.0088;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(latitude: f64, longitude: f64) -> Location {
        Location { latitude, longitude }
    }

    #[test]
    fn known_distances_are_right_to_one_percent() {
        for (a, b, km) in [
            (at(50.11, 8.68), at(48.86, 2.35), 478.0),
            (at(50.11, 8.68), at(39.04, -77.49), 6_560.0),
            (at(0.0, 179.0), at(0.0, -179.0), 222.4),
            (at(90.0, 0.0), at(-90.0, 0.0), 20_015.0),
        ] {
            let got = distance_km(a, b);
            assert!((got - km).abs() < km * 0.01, "{a:?} {b:?}: {got}");
        }
    }

    proptest! {
        #[test]
        fn distance_is_a_metric_on_the_sphere(
            lat in prop::array::uniform3(-90.0..=90.0f64), lon in prop::array::uniform3(-180.0..=180.0f64)
        ) {
            let [a, b, c] = std::array::from_fn(|i| at(lat[i], lon[i]));
            let (ab, bc, ac) = (distance_km(a, b), distance_km(b, c), distance_km(a, c));
            prop_assert!((0.0..=20_016.0).contains(&ab));
            prop_assert!((ab - distance_km(b, a)).abs() < 1e-6);
            prop_assert!(distance_km(a, a) < 1e-6);
            prop_assert!(ac <= ab + bc + 1e-6);
        }
    }
}
