//! The types of attributes (XML Schema, and the simple types of ISO/IEC 23009-1's own).

/// How an attribute's text is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    /// Text without white space.
    Word,
    Unsigned,
    Double,
    Boolean,
    /// xs:dateTime; with a zone, as times here are nobody's local ones.
    DateTime,
    Duration,
    /// `30` or `30000/1001`
    FrameRate,
    /// Stream access points: 0 to 6.
    Sap,
    /// `dynamic` or `static`
    Type,
    /// Of a producer reference time.
    Reference,
}

impl Kind {
    pub(super) fn accepts(self, value: &str) -> bool {
        let unsigned = |value: &str| !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
        match self {
            Self::Text => true,
            Self::Word => !value.is_empty() && !value.contains(char::is_whitespace),
            Self::Unsigned => unsigned(value) && value.parse::<u64>().is_ok(),
            Self::Double => value.parse::<f64>().is_ok_and(f64::is_finite),
            Self::Boolean => matches!(value, "true" | "false" | "0" | "1"),
            Self::DateTime => date_time(value).is_some(),
            Self::Duration => duration(value).is_some(),
            Self::FrameRate => match value.split_once('/') {
                Some((frames, seconds)) => unsigned(frames) && unsigned(seconds) && seconds != "0",
                None => unsigned(value),
            },
            Self::Sap => value.len() == 1 && ("0"..="6").contains(&value),
            Self::Type => matches!(value, "dynamic" | "static"),
            Self::Reference => matches!(value, "encoder" | "captured" | "application"),
        }
    }
}

/// Seconds since the Unix epoch of an xs:dateTime in UTC.
pub(super) fn date_time(value: &str) -> Option<f64> {
    let format = &time::format_description::well_known::Rfc3339;
    let at = time::OffsetDateTime::parse(value, format).ok()?;
    Some(at.unix_timestamp() as f64 + f64::from(at.nanosecond()) / 1e9)
}

/// Seconds of an xs:duration without years and months, which have no length.
pub(super) fn duration(value: &str) -> Option<f64> {
    let value = value.strip_prefix('P')?;
    let (days, clock) = value.split_once('T').unwrap_or((value, ""));
    let mut seconds = match days {
        "" => 0.0,
        days => days.strip_suffix('D')?.parse::<u32>().ok().map(f64::from)? * 86_400.0,
    };
    let mut rest = clock;
    for (unit, length) in [('H', 3600.0), ('M', 60.0), ('S', 1.0)] {
        if let Some((number, after)) = rest.split_once(unit) {
            seconds += number.parse::<f64>().ok()? * length;
            rest = after;
        }
    }
    (rest.is_empty() && !(days.is_empty() && clock.is_empty())).then_some(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_dates() {
        for (text, seconds) in [("PT2S", 2.0), ("PT1H2M3.5S", 3723.5), ("P1DT1S", 86_401.0), ("PT1M", 60.0)] {
            assert_eq!(duration(text), Some(seconds), "{text}");
        }
        for text in ["", "P", "PT", "2S", "PT2", "PT2X", "PTS", "P1M"] {
            assert_eq!(duration(text), None, "{text}");
        }
        assert_eq!(date_time("2023-11-14T22:13:20.250Z"), Some(1_700_000_000.25));
        assert_eq!(date_time("2023-11-14 22:13"), None);
    }
}
