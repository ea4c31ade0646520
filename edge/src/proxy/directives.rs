//! What a response says of its own caching: `Cache-Control` (RFC 9111 §5.2.2), or `CDN-Cache-Control` in its place
//! (RFC 9213).

use http::header::CACHE_CONTROL;
use http::{HeaderMap, HeaderName, HeaderValue};
use sfv::{BareItem, Dictionary, ListEntry, Parser};

/// The directives that a shared cache obeys. Times are whole seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Directives {
    pub no_store: bool,
    pub no_cache: bool,
    pub private: bool,
    pub public: bool,
    pub must_revalidate: bool,
    pub proxy_revalidate: bool,
    pub must_understand: bool,
    pub max_age: Option<u32>,
    pub s_maxage: Option<u32>,
    /// RFC 5861 §3.
    pub stale_while_revalidate: Option<u32>,
    /// RFC 5861 §4.
    pub stale_if_error: Option<u32>,
    /// They were found in a targeted field, beside which `Cache-Control` and `Expires` count for nothing.
    pub targeted: bool,
}

impl Directives {
    /// Those that hold for this edge.
    pub fn of(headers: &HeaderMap) -> Self {
        targeted(headers).unwrap_or_else(|| Self::read(headers.get_all(CACHE_CONTROL)))
    }

    /// Reads `Cache-Control`. Of a directive that comes twice the first counts (RFC 9111 §4.2.1); a time that is no
    /// number is over.
    pub fn read<'a>(values: impl IntoIterator<Item = &'a HeaderValue>) -> Self {
        let mut found = Self::default();
        for value in values {
            for member in members(value.as_bytes()) {
                let mut parts = member.splitn(2, |byte| *byte == b'=');
                let name = parts.next().unwrap_or_default().trim_ascii();
                let argument = parts.next().map(|argument| unquote(argument.trim_ascii()));
                found.take(&name.to_ascii_lowercase(), || argument.map_or(0, seconds));
            }
        }
        found
    }

    /// As a `Cache-Control` for [`http_cache_semantics`], without what it reads wrong (see [`super::policy`]).
    pub fn normal(&self) -> String {
        let flags = [
            (self.no_store, "no-store"),
            (self.no_cache, "no-cache"),
            (self.private, "private"),
            (self.public, "public"),
            (self.must_revalidate, "must-revalidate"),
        ];
        let flags = flags.into_iter().filter(|(set, _)| *set).map(|(_, name)| name.to_owned());
        let times = [(self.max_age, "max-age"), (self.s_maxage, "s-maxage")];
        let times =
            times.into_iter().filter_map(|(time, name)| time.map(|seconds| format!("{name}={seconds}")));
        flags.chain(times).collect::<Vec<_>>().join(", ")
    }

    fn take(&mut self, name: &[u8], seconds: impl FnOnce() -> u32) {
        let first = |slot: &mut Option<u32>| {
            slot.get_or_insert_with(seconds);
        };
        match name {
            b"no-store" => self.no_store = true,
            // With field names, both may be taken for the whole response (RFC 9111 §5.2.2.4, §5.2.2.7).
            b"no-cache" => self.no_cache = true,
            b"private" => self.private = true,
            b"public" => self.public = true,
            b"must-revalidate" => self.must_revalidate = true,
            b"proxy-revalidate" => self.proxy_revalidate = true,
            b"must-understand" => self.must_understand = true,
            b"max-age" => first(&mut self.max_age),
            b"s-maxage" => first(&mut self.s_maxage),
            b"stale-while-revalidate" => first(&mut self.stale_while_revalidate),
            b"stale-if-error" => first(&mut self.stale_if_error),
            _ => {}
        }
    }
}

/// `CDN-Cache-Control`, a structured dictionary. One that cannot be read, or is empty, is as good as none (RFC 9213
/// §2.1); so is a directive of the wrong type.
fn targeted(headers: &HeaderMap) -> Option<Directives> {
    let values: Vec<&[u8]> = headers.get_all(CDN_CACHE_CONTROL).iter().map(HeaderValue::as_bytes).collect();
    let whole = values.join(&b", "[..]);
    let dictionary: Dictionary = Parser::new(&whole).parse().ok()?;
    let mut found = Directives { targeted: true, ..Directives::default() };
    for (name, entry) in &dictionary {
        let ListEntry::Item(item) = entry else { continue };
        let time = name.as_str().ends_with("age") || name.as_str().starts_with("stale-");
        match &item.bare_item {
            BareItem::Integer(number) if time => {
                let number = i64::from(*number);
                if let Ok(number) = u64::try_from(number) {
                    found.take(name.as_str().as_bytes(), || clamp(number));
                }
            }
            BareItem::Boolean(true) if !time => found.take(name.as_str().as_bytes(), || 0),
            // `private="set-cookie"` still says that the response is somebody's own.
            BareItem::String(_) if matches!(name.as_str(), "private" | "no-cache") => {
                found.take(name.as_str().as_bytes(), || 0);
            }
            _ => {}
        }
    }
    (!dictionary.is_empty()).then_some(found)
}

/// The members of a comma-separated list, whose commas may be quoted (RFC 9110 §5.6.1).
pub(super) fn members(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    let (mut quoted, mut escaped) = (false, false);
    let split = list.split(move |byte| {
        let here = std::mem::take(&mut escaped);
        match byte {
            b'\\' if quoted => escaped = !here,
            b'"' if !here => quoted = !quoted,
            b',' => return !quoted,
            _ => {}
        }
        false
    });
    split.map(<[u8]>::trim_ascii).filter(|member| !member.is_empty())
}

fn unquote(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"\"").and_then(|text| text.strip_suffix(b"\"")).unwrap_or(text)
}

fn seconds(digits: &[u8]) -> u32 {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return 0;
    }
    let number =
        digits.iter().fold(0u64, |n, digit| n.saturating_mul(10).saturating_add((digit - b'0').into()));
    clamp(number)
}

/// More than 68 years is that (RFC 9111 §1.2.2).
fn clamp(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX).min(1 << 31)
}

/// Runs over any bytes, in both fields.
pub fn fuzz(data: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(data) else { return };
    for name in [CACHE_CONTROL, CDN_CACHE_CONTROL] {
        let found = Directives::of(&HeaderMap::from_iter([(name, value.clone())]));
        let normal = HeaderValue::try_from(found.normal()).expect("directives are plain text");
        let again = Directives::read([&normal]);
        assert_eq!(
            (again.max_age, again.s_maxage, again.no_store),
            (found.max_age, found.s_maxage, found.no_store)
        );
    }
}

/// RFC 9213 §3.1.
pub(super) const CDN_CACHE_CONTROL: HeaderName = HeaderName::from_static("cdn-cache-control");

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(pairs: &[(&'static str, &'static str)]) -> Directives {
        let header = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        Directives::of(&pairs.iter().map(header).collect())
    }

    fn plain(value: &'static str) -> Directives {
        of(&[("cache-control", value)])
    }

    #[test]
    fn names_and_quotes_are_read_as_rfc_9111_says() {
        assert_eq!(plain("Max-Age=\"5\", PUBLIC").max_age, Some(5));
        assert!(plain("NO-STORE").no_store && plain("Private").private && plain("No-Cache").no_cache);
        let commas = plain("ext=\"a, no-store, \\\", private\", max-age=7");
        assert_eq!(commas, Directives { max_age: Some(7), ..Directives::default() });
        assert!(plain("private=\"set-cookie, x\"").private);
        assert_eq!(plain("max-age=5, max-age=9").max_age, Some(5));
        assert_eq!(plain("max-age=x").max_age, Some(0));
        assert_eq!(plain("max-age=-1").max_age, Some(0));
        assert_eq!(plain("max-age").max_age, Some(0));
        assert_eq!(plain("max-age=99999999999999999999999").max_age, Some(1 << 31));
        let both = of(&[("cache-control", "max-age=1"), ("cache-control", "s-maxage=2")]);
        assert_eq!((both.max_age, both.s_maxage), (Some(1), Some(2)));
        assert_eq!(plain(",, ,=,\"").max_age, None);
    }

    #[test]
    fn a_targeted_field_takes_the_place_of_the_other() {
        let cases: &[(&'static str, bool, Option<u32>)] = &[
            ("max-age=60", true, Some(60)),
            ("max-age=60;why=\"x\", private", true, Some(60)),
            ("max-age=\"60\"", true, None),
            ("max-age=60.5", true, None),
            ("max-age=-60", true, None),
            ("no-store=?0", true, None),
            ("max-age = 60", false, Some(5)),
            ("MAX-AGE=60", false, Some(5)),
            ("", false, Some(5)),
            ("max-age=60,", false, Some(5)),
        ];
        for (value, targeted, max_age) in cases {
            let found = of(&[("cache-control", "max-age=5"), ("cdn-cache-control", value)]);
            assert_eq!((found.targeted, found.max_age), (*targeted, *max_age), "{value}");
            assert!(!found.no_store, "{value}");
        }
        let lines =
            of(&[("cdn-cache-control", "max-age=1"), ("cdn-cache-control", "stale-if-error=9, private")]);
        assert!(lines.private && lines.stale_if_error == Some(9));
        assert!(of(&[("cdn-cache-control", "private=\"x\"")]).private);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..60),
            text in "(max-age|private|s-maxage|stale-if-error|no-store|[a-z*]{1,3})[=;, ]{0,2}[ -~]{0,40}",
        ) {
            fuzz(&bytes);
            fuzz(text.as_bytes());
        }
    }
}
