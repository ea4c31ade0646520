//! Program date-times: milliseconds since the Unix epoch to RFC 3339 and back, on the proleptic
//! Gregorian calendar (Howard Hinnant's `days_from_civil` and `civil_from_days`).

use std::fmt::{self, Write};

/// Milliseconds since the Unix epoch, to be shown as a date and time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Date(pub(crate) u64);

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write(f, self.0)
    }
}

/// Writes `2026-08-01T12:00:00.500Z`.
pub(crate) fn write(out: &mut impl Write, unix_ms: u64) -> fmt::Result {
    let (days, ms) = (unix_ms / DAY_MS, unix_ms % DAY_MS);
    let (year, month, day) = civil(days);
    let (seconds, ms) = (ms / 1000, ms % 1000);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    write!(out, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

/// Reads an ISO 8601 date and time; one without a zone is taken as UTC. `None` when it is malformed or
/// before 1970. Finer than a millisecond is cut off.
pub(super) fn parse(text: &str) -> Option<u64> {
    let (date, time) = text.split_once(['T', 't', ' '])?;
    let mut date = date.split('-');
    let (year, month, day) = (digits(date.next()?, 4)?, digits(date.next()?, 2)?, digits(date.next()?, 2)?);
    if date.next().is_some() || !(1..=12).contains(&month) || !(1..=days_in(year, month)).contains(&day) {
        return None;
    }
    let (time, offset_minutes) = zone(time)?;
    let (clock, fraction) = time.split_once(['.', ',']).unwrap_or((time, ""));
    let mut clock = clock.split(':');
    let (hour, minute, second) =
        (digits(clock.next()?, 2)?, digits(clock.next()?, 2)?, digits(clock.next()?, 2)?);
    // 60 is a leap second: it reads as the second after.
    if clock.next().is_some() || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let seconds = days(year, month, day)?.checked_mul(86_400)?;
    let seconds = seconds.checked_add(hour * 3600 + minute * 60 + second)?;
    let ms = seconds.checked_mul(1000)?.checked_add(milliseconds(fraction)?)?;
    ms.checked_add_signed(offset_minutes.checked_mul(-60_000)?).filter(|ms| *ms <= LAST_MS)
}

/// Splits the zone off: the time without it and its offset from UTC in minutes.
fn zone(time: &str) -> Option<(&str, i64)> {
    if let Some(time) = time.strip_suffix(['Z', 'z']) {
        return Some((time, 0));
    }
    let Some(at) = time.rfind(['+', '-']) else { return Some((time, 0)) };
    let (time, zone) = time.split_at(at);
    let (sign, zone) = if let Some(zone) = zone.strip_prefix('-') { (-1, zone) } else { (1, &zone[1..]) };
    let (hour, minute) = match (zone.len(), zone.split_once(':')) {
        (_, Some(parts)) => parts,
        (4, None) if zone.is_ascii() => zone.split_at(2),
        _ => (zone, "00"),
    };
    let (hour, minute) = (digits(hour, 2)?, digits(minute, 2)?);
    let minutes = i64::try_from(hour * 60 + minute).ok()?;
    (hour < 24 && minute < 60).then_some((time, sign * minutes))
}

/// Exactly `count` decimal digits.
fn digits(text: &str, count: usize) -> Option<u64> {
    let valid = text.len() == count && text.bytes().all(|b| b.is_ascii_digit());
    if valid { text.parse().ok() } else { None }
}

fn milliseconds(fraction: &str) -> Option<u64> {
    if !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let digit = |i: usize| fraction.as_bytes().get(i).map_or(0, |b| u64::from(b - b'0'));
    Some(digit(0) * 100 + digit(1) * 10 + digit(2))
}

/// Days since 1970-01-01 to year, month, day.
fn civil(days: u64) -> (u64, u64, u64) {
    // Eras of 400 years begin on 0000-03-01.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

/// Year, month, day to days since 1970-01-01; `None` before that.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    let year = if month <= 2 { year.checked_sub(1)? } else { year };
    let (era, year_of_era) = (year / 400, year % 400);
    let shifted = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * shifted + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    (era * 146_097 + day_of_era).checked_sub(719_468)
}

fn days_in(year: u64, month: u64) -> u64 {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        2 => 28 + u64::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

const DAY_MS: u64 = 86_400_000;

/// The end of 9999: RFC 3339 has no fifth digit for the year.
const LAST_MS: u64 = 253_402_300_799_999;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(unix_ms: u64) -> String {
        let mut out = String::new();
        write(&mut out, unix_ms).unwrap();
        out
    }

    #[test]
    fn known_dates_are_written_and_read() {
        for (ms, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_709_251_199_999, "2024-02-29T23:59:59.999Z"),
            (1_785_585_600_500, "2026-08-01T12:00:00.500Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(text(ms), expected);
            assert_eq!(parse(expected), Some(ms));
        }
    }

    #[test]
    fn other_spellings_of_a_date_are_read() {
        for same in [
            "2026-08-01T12:00:00.5Z",
            "2026-08-01T12:00:00.500999Z",
            "2026-08-01T12:00:00.500",
            "2026-08-01T14:00:00.500+02:00",
            "2026-08-01T14:00:00.500+0200",
            "2026-08-01T14:00:00.500+02",
            "2026-08-01T06:30:00.500-05:30",
        ] {
            assert_eq!(parse(same), Some(1_785_585_600_500), "{same}");
        }
    }

    #[test]
    fn what_is_no_date_is_refused() {
        for bad in [
            "",
            "2026-08-01",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-01-00T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "1969-12-31T23:59:59Z",
            "26-01-01T00:00:00Z",
            "2026-01-01T00:00:00+",
            "2026-01-01T00:00:00+é1",
            "2026-01-01T00:00:00.1a",
            "0000-01-01T00:00:00Z",
            "9999-12-31T23:59:59-01:00",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn every_millisecond_until_9999_comes_back(ms in 0..253_402_300_800_000_u64) {
            prop_assert_eq!(parse(&text(ms)), Some(ms));
        }
    }
}
