//! The pieces of a tag's value: attribute lists, quoted strings, decimal numbers (RFC 8216bis §4.2).

use std::fmt::{Display, Write};
use std::time::Duration;

/// Why a tag's value cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("the attribute list is malformed")]
    List,
    #[error("the attribute {0} is missing")]
    Missing(&'static str),
    #[error("the value of {0} is malformed")]
    Value(&'static str),
}

/// An attribute list, checked as a whole and then asked by name. Unknown names stay unasked.
#[derive(Debug, Clone)]
pub(super) struct Attributes<'a>(Vec<Attribute<'a>>);

/// One pair of the list, without quotes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attribute<'a> {
    pub(super) name: &'a str,
    pub(super) value: &'a str,
    pub(super) quoted: bool,
}

impl<'a> Attributes<'a> {
    /// Reads `NAME=value,NAME="value"`. Quotes are taken off.
    pub(super) fn parse(mut rest: &'a str) -> Result<Self, Error> {
        let mut list = Vec::new();
        while !rest.is_empty() {
            let (name, after) = rest.split_once('=').ok_or(Error::List)?;
            let name = name.trim_matches(' ');
            if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
                return Err(Error::List);
            }
            let value;
            let quoted = after.strip_prefix('"');
            if let Some(quoted) = quoted {
                (value, rest) = quoted.split_once('"').ok_or(Error::List)?;
                rest = rest.trim_start_matches(' ');
                if !rest.is_empty() {
                    rest = rest.strip_prefix(',').ok_or(Error::List)?;
                }
            } else {
                (value, rest) = after.split_once(',').unwrap_or((after, ""));
                // It could not be written again.
                if value.contains('"') {
                    return Err(Error::List);
                }
            }
            list.push(Attribute { name, value, quoted: quoted.is_some() });
        }
        Ok(Self(list))
    }

    /// All of them, in the order of the text.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Attribute<'a>> {
        self.0.iter()
    }

    pub(super) fn get(&self, name: &str) -> Option<&Attribute<'a>> {
        self.0.iter().find(|attribute| attribute.name == name)
    }

    pub(super) fn text(&self, name: &str) -> Option<&'a str> {
        self.get(name).map(|attribute| attribute.value)
    }

    pub(super) fn owned(&self, name: &str) -> Option<String> {
        self.text(name).map(str::to_owned)
    }

    pub(super) fn required(&self, name: &'static str) -> Result<&'a str, Error> {
        self.text(name).ok_or(Error::Missing(name))
    }

    /// Unlike `NO`, anything else and nothing, `YES` is yes.
    pub(super) fn yes(&self, name: &str) -> bool {
        self.text(name) == Some("YES")
    }

    pub(super) fn integer(&self, name: &'static str) -> Result<Option<u64>, Error> {
        self.text(name).map(|text| integer(text).ok_or(Error::Value(name))).transpose()
    }

    pub(super) fn seconds(&self, name: &'static str) -> Result<Option<Duration>, Error> {
        self.text(name).map(|text| seconds(text).ok_or(Error::Value(name))).transpose()
    }
}

/// Writes one tag with an attribute list.
pub(super) struct Writer<'a> {
    out: &'a mut String,
    separator: char,
}

impl<'a> Writer<'a> {
    /// Begins `#EXT-X-name`.
    pub(super) fn new(out: &'a mut String, tag: &str) -> Self {
        out.push_str(tag);
        Self { out, separator: ':' }
    }

    pub(super) fn plain(self, name: &str, value: impl Display) -> Self {
        push(self.out, format_args!("{}{name}={value}", self.separator));
        Self { separator: ',', ..self }
    }

    /// The value must hold neither `"` nor a line's end: there is no way to write them.
    pub(super) fn quoted(self, name: &str, value: impl Display) -> Self {
        push(self.out, format_args!("{}{name}=\"{value}\"", self.separator));
        Self { separator: ',', ..self }
    }

    /// [`Self::quoted`], if there is a value.
    pub(super) fn optional(self, name: &str, value: Option<impl Display>) -> Self {
        match value {
            Some(value) => self.quoted(name, value),
            None => self,
        }
    }

    pub(super) fn seconds(self, name: &str, value: Duration) -> Self {
        push(self.out, format_args!("{}{name}=", self.separator));
        write_seconds(self.out, value);
        Self { separator: ',', ..self }
    }

    pub(super) fn yes(self, name: &str, value: bool) -> Self {
        if value { self.plain(name, "YES") } else { self }
    }

    /// Ends the line.
    pub(super) fn end(self) {
        self.out.push('\n');
    }
}

/// Appends formatted text; a string never refuses it.
pub(super) fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    let _infallible = out.write_fmt(text);
}

/// Writes seconds with as many of nine decimals as say something, and at least one.
pub(super) fn write_seconds(out: &mut String, value: Duration) {
    push(out, format_args!("{}.{:09}", value.as_secs(), value.subsec_nanos()));
    let keep = out.trim_end_matches('0').len();
    let keep = if out[..keep].ends_with('.') { keep + 1 } else { keep };
    out.truncate(keep);
}

/// Reads seconds with or without decimals; beyond nine they are cut off.
pub(super) fn seconds(text: &str) -> Option<Duration> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let nanos = fraction.bytes().chain(std::iter::repeat(b'0')).take(9);
    let nanos = nanos.fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0'));
    let whole = if whole.is_empty() && !fraction.is_empty() { 0 } else { integer(whole)? };
    // Longer than a century is no duration, and sums of those that remain cannot overflow.
    (whole <= MAX_SECONDS).then(|| Duration::new(whole, nanos))
}

/// Reads a decimal-integer: digits only.
pub(super) fn integer(text: &str) -> Option<u64> {
    if text.bytes().all(|b| b.is_ascii_digit()) { text.parse().ok() } else { None }
}

const MAX_SECONDS: u64 = 3_200_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_with_commas_inside_quotes() {
        let list = Attributes::parse(r#"A=1,B="x,y=z",C=0x2F, D=YES"#).unwrap();
        assert_eq!(list.text("B"), Some("x,y=z"));
        assert_eq!(list.integer("A"), Ok(Some(1)));
        assert_eq!(list.integer("C"), Err(Error::Value("C")));
        assert!(list.yes("D") && !list.yes("A"));
        assert_eq!(list.required("E"), Err(Error::Missing("E")));
    }

    #[test]
    fn malformed_lists_are_refused() {
        for bad in ["A", "=1", "A=\"x", "A=\"x\"y", "A=x\"", "A=1,,B=2", "a b=1"] {
            assert!(Attributes::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn seconds_are_exact_to_the_nanosecond() {
        for (text, value) in [
            ("0.0", Duration::ZERO),
            ("2.0", Duration::from_secs(2)),
            ("0.5", Duration::from_millis(500)),
            ("0.023219955", Duration::from_nanos(23_219_955)),
            ("10.0", Duration::from_secs(10)),
        ] {
            let mut out = String::from("100");
            write_seconds(&mut out, value);
            assert_eq!(&out[3..], text);
            assert_eq!(seconds(text), Some(value));
        }
        assert_eq!(seconds("6"), Some(Duration::from_secs(6)));
        assert_eq!(seconds(".25"), Some(Duration::from_millis(250)));
        for bad in ["", ".", "-1", "1e3", "1.x", "+1", "99999999999999999999"] {
            assert_eq!(seconds(bad), None, "{bad}");
        }
    }
}
