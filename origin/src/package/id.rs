//! Names of broadcasts: never reused, and later ones sort behind earlier ones.

use std::time::{Duration, SystemTime};

use nearcast_api::BroadcastId;

/// The id of a broadcast that begins `now`: 48 bits of milliseconds and 80 random bits in base 32
/// (Crockford's alphabet in lower case), 26 characters as in a ULID.
pub fn broadcast(now: SystemTime, random: [u8; 10]) -> BroadcastId {
    let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let milliseconds = since.as_millis() & 0xffff_ffff_ffff;
    let random = random.iter().fold(0u128, |bits, byte| bits << 8 | u128::from(*byte));
    let bits = milliseconds << 80 | random;
    let text: String =
        (0..26).rev().map(|digit| char::from(ALPHABET[(bits >> (5 * digit) & 31) as usize])).collect();
    match text.parse() {
        Ok(id) => id,
        Err(_) => unreachable!("26 of the alphabet's characters are a name"),
    }
}

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: u64, random: u8) -> BroadcastId {
        broadcast(SystemTime::UNIX_EPOCH + Duration::from_millis(milliseconds), [random; 10])
    }

    #[test]
    fn is_a_ulid_in_lower_case() {
        // The example of the ULID specification has this time: 01ARZ3NDEKTSV4RRFFQ69G5FAV.
        assert_eq!(&at(1_469_922_850_259, 0).as_str()[..10], "01arz3ndek");
        assert_eq!(at(0, 0xff).as_str(), "0000000000zzzzzzzzzzzzzzzz");
    }

    #[test]
    fn later_broadcasts_sort_behind_earlier_ones() {
        let ids =
            [at(0, 9), at(1, 0), at(31, 7), at(32, 3), at(1_700_000_000_000, 1), at(1_800_000_000_000, 0)];
        assert!(ids.is_sorted());
        assert_ne!(at(5, 1), at(5, 2));
    }

    #[test]
    fn a_clock_before_1970_gives_a_name_too() {
        let id = broadcast(SystemTime::UNIX_EPOCH - Duration::from_secs(9), [1; 10]);
        assert_eq!(id.as_str().len(), 26);
    }
}
