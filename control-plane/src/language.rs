//! Languages by their tags (BCP 47): read strictly, and found by what somebody prefers (RFC 4647). Pure.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A well-formed tag (RFC 5646 §2.1) whose language has two or three letters, as all that are registered have, in its
/// customary case: `zh-Hant-TW`. Whether each part is registered is not looked at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, example = "es-MX")]
pub struct Tag(String);

/// Which languages somebody wants: a basic language range (RFC 4647 §2.1) in lower case. `es` is all Spanish, `*` all.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Range(String);

/// Text that is no tag.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no language tag: use one of BCP 47, such as es or es-MX")]
pub struct Invalid(String);

impl Tag {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Basic filtering (RFC 4647 §3.3.1): `es` wants `es-MX`, `es-MX` does not want `es`.
    pub fn matches(&self, Range(range): &Range) -> bool {
        let tag = self.0.as_bytes();
        let begins = tag.get(..range.len()).is_some_and(|start| start.eq_ignore_ascii_case(range.as_bytes()));
        range == "*" || begins && matches!(tag.get(range.len()), None | Some(b'-'))
    }
}

impl FromStr for Tag {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        canonical(text).map(Self).ok_or_else(|| Invalid(text.chars().take(80).collect()))
    }
}

impl FromStr for Range {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let part = |part: &str| is_part(part, 1);
        let language = text.split('-').next().unwrap_or_default();
        let is_range =
            text == "*" || language.bytes().all(|b| b.is_ascii_alphabetic()) && text.split('-').all(part);
        match is_range && text.len() <= LONGEST {
            true => Ok(Self(text.to_ascii_lowercase())),
            false => Err(Invalid(text.chars().take(80).collect())),
        }
    }
}

macro_rules! as_text {
    ($($name:ident)*) => {$(
        impl TryFrom<String> for $name {
            type Error = Invalid;

            fn try_from(text: String) -> Result<Self, Invalid> {
                text.parse()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}
as_text!(Tag Range);

impl From<Tag> for String {
    fn from(Tag(text): Tag) -> Self {
        text
    }
}

/// What an `Accept-Language` header asks for, best first (RFC 9110 §12.5.4). What cannot be read in it is passed over.
pub fn accepted(header: &str) -> Vec<Range> {
    let one = |item: &str| {
        let (range, weight) = item.split_once(';').map_or((item, "q=1"), |(range, weight)| (range, weight));
        let weight: f32 = weight.trim().strip_prefix("q=")?.parse().ok()?;
        (weight > 0.0 && weight <= 1.0).then_some((range.trim().parse::<Range>().ok()?, weight))
    };
    let mut ranges: Vec<_> = header.split(',').take(MOST_ACCEPTED).filter_map(one).collect();
    // The sort is stable: of equals, the first stays the first.
    ranges.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    ranges.into_iter().map(|(range, _)| range).collect()
}

/// The text that suits best (RFC 4647 §3.4): for each range in turn the very tag, or it without its last parts.
pub fn lookup<'a>(wanted: &[Range], texts: &'a BTreeMap<Tag, String>) -> Option<(&'a Tag, &'a str)> {
    let named = |name: &str| texts.iter().find(|(tag, _)| tag.0.eq_ignore_ascii_case(name));
    let suits = |Range(range): &Range| {
        let mut name = range.as_str();
        loop {
            if let Some(found) = named(name) {
                return Some(found);
            }
            name = shorter(name)?;
        }
    };
    wanted.iter().find_map(suits).map(|(tag, text)| (tag, text.as_str()))
}

/// Without the last part, and a single letter that would be the last then.
fn shorter(name: &str) -> Option<&str> {
    let (name, _) = name.rsplit_once('-')?;
    Some(match name.rsplit_once('-') {
        Some((before, single)) if single.len() == 1 => before,
        _ => name,
    })
}

/// The tag in its customary case, if it is one.
fn canonical(text: &str) -> Option<String> {
    if text.len() > LONGEST {
        return None;
    }
    let mut parts = text.split('-').peekable();
    let mut tag = parts.next().filter(|part| (2..=3).contains(&part.len()) && letters(part))?.to_lowercase();
    let mut extended = 0;
    while let Some(part) = parts.next_if(|part| extended < 3 && part.len() == 3 && letters(part)) {
        extended += 1;
        push(&mut tag, &part.to_lowercase());
    }
    if let Some(script) = parts.next_if(|part| part.len() == 4 && letters(part)) {
        let (first, rest) = script.split_at(1);
        push(&mut tag, &format!("{}{}", first.to_uppercase(), rest.to_lowercase()));
    }
    let is_region =
        |part: &&str| part.len() == 2 && letters(part) || part.len() == 3 && digits(part.as_bytes());
    if let Some(region) = parts.next_if(is_region) {
        push(&mut tag, &region.to_uppercase());
    }
    let is_variant = |part: &&str| {
        is_part(part, 5) || part.len() == 4 && is_part(part, 4) && digits(&part.as_bytes()[..1])
    };
    let mut seen = Vec::new();
    while let Some(variant) = parts.next_if(is_variant) {
        push_once(&mut tag, &mut seen, &variant.to_lowercase())?;
    }
    while let Some(singleton) =
        parts.next_if(|part| part.len() == 1 && is_part(part, 1) && !part.eq_ignore_ascii_case("x"))
    {
        push_once(&mut tag, &mut seen, &singleton.to_lowercase())?;
        push(&mut tag, &parts.next_if(|part| is_part(part, 2))?.to_lowercase());
        while let Some(part) = parts.next_if(|part| is_part(part, 2)) {
            push(&mut tag, &part.to_lowercase());
        }
    }
    if parts.next_if(|part| part.eq_ignore_ascii_case("x")).is_some() {
        push(&mut tag, "x");
        push(&mut tag, &parts.next_if(|part| is_part(part, 1))?.to_lowercase());
        while let Some(part) = parts.next_if(|part| is_part(part, 1)) {
            push(&mut tag, &part.to_lowercase());
        }
    }
    parts.next().is_none().then_some(tag)
}

fn push(tag: &mut String, part: &str) {
    tag.push('-');
    tag.push_str(part);
}

/// Variants and singletons stand in a tag once.
fn push_once(tag: &mut String, seen: &mut Vec<String>, part: &str) -> Option<()> {
    if seen.iter().any(|before| before == part) {
        return None;
    }
    seen.push(part.to_owned());
    push(tag, part);
    Some(())
}

fn letters(part: &str) -> bool {
    part.bytes().all(|byte| byte.is_ascii_alphabetic())
}

fn digits(part: &[u8]) -> bool {
    part.iter().all(u8::is_ascii_digit)
}

/// From `shortest` to 8 letters and digits.
fn is_part(part: &str, shortest: usize) -> bool {
    (shortest..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// Bytes; RFC 5646 §4.4.1 wants at least 35.
const LONGEST: usize = 64;
/// Browsers send a handful.
const MOST_ACCEPTED: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_read_in_any_case_and_kept_in_its_own() {
        for (text, tag) in [
            ("es", "es"),
            ("ES-mx", "es-MX"),
            ("ZH-hant-tw", "zh-Hant-TW"),
            ("zh-cmn-hans-cn", "zh-cmn-Hans-CN"),
            ("es-419", "es-419"),
            ("sl-rozaj-biske-1994", "sl-rozaj-biske-1994"),
            ("de-CH-1901", "de-CH-1901"),
            ("en-US-u-islamcal", "en-US-u-islamcal"),
            ("zh-CN-a-myext-x-private", "zh-CN-a-myext-x-private"),
        ] {
            assert_eq!(text.parse::<Tag>().unwrap().as_str(), tag);
        }
    }

    #[test]
    fn what_is_no_tag_is_refused() {
        for wrong in [
            "",
            "-",
            "e",
            "english",
            "x-own",
            "de_DE",
            "de-",
            "-de",
            "de--DE",
            "de-419-DE",
            "de-1901-1901",
            "ar-a-aaa-b-bbb-a-ccc",
            "de-a",
            "de-x",
            "de-DE-abcdefghi",
            "dé",
            "de\n",
            "12",
            "i-klingon",
        ] {
            assert!(wrong.parse::<Tag>().is_err(), "{wrong:?}");
        }
        assert!(format!("de-x-{}", "a-".repeat(40)).parse::<Tag>().is_err());
    }

    #[test]
    fn a_range_wants_what_begins_with_it() {
        let matches = |tag: &str, range: &str| tag.parse::<Tag>().unwrap().matches(&range.parse().unwrap());
        assert!(matches("es-MX", "es") && matches("es-MX", "ES-mx") && matches("es", "*"));
        assert!(!matches("es", "es-MX") && !matches("est", "es") && !matches("de", "es"));
        assert!("1".parse::<Range>().is_err() && "de-*".parse::<Range>().is_err());
        assert!("".parse::<Range>().is_err());
    }

    #[test]
    fn the_best_text_is_found_by_leaving_parts_of_what_is_wanted_out() {
        let texts = ["en", "de", "pt-BR", "zh-Hant"].map(|tag| (tag.parse::<Tag>().unwrap(), tag.to_owned()));
        let texts = BTreeMap::from(texts);
        let found = |header: &str| lookup(&accepted(header), &texts).map(|(_, text)| text);
        assert_eq!(found("de-CH-1996, en"), Some("de"));
        assert_eq!(found("en;q=0.5, fr, de;q=0.7"), Some("de"));
        assert_eq!(found("zh-hant-CN-x-private1-private2"), Some("zh-Hant"));
        assert_eq!(found("pt"), None);
        assert_eq!(found("de;q=0, ja"), None);
        assert_eq!(found(";;,q=1,*, de;q=2, en ;q=0.1"), Some("en"));
    }

    #[test]
    fn nothing_that_a_caller_sends_is_a_panic() {
        use proptest::prelude::*;
        proptest!(|(text in "\\PC{0,80}", tagged in "[a-zA-Z0-9-]{0,70}")| {
            for text in [text, tagged] {
                accepted(&text);
                let _any = text.parse::<Range>();
                if let Ok(tag) = text.parse::<Tag>() {
                    prop_assert_eq!(tag.as_str().parse::<Tag>().unwrap(), tag);
                }
            }
        });
    }
}
