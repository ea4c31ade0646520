//! What players say of themselves: Common Media Client Data, version 1 and 2 (CTA-5004, CTA-5004-A), in a query or in headers.

use http::HeaderMap;
use sfv::{BareItem, Dictionary, ListEntry, Parser};
use url::form_urlencoded;

/// What one request says, as far as it is of use here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// `sid`: the playback session.
    pub session: Option<String>,
    /// `bl`: the shortest buffer, in milliseconds.
    pub buffer_ms: Option<u32>,
    /// `mtp`: measured throughput, in kb/s.
    pub throughput_kbps: Option<u32>,
    /// `br`: the encoded bitrate of what is asked for, in kb/s.
    pub bitrate_kbps: Option<u32>,
    /// `ltc`: how far behind the live edge the viewer is, in milliseconds.
    pub latency_ms: Option<u32>,
    /// `msd`: from the viewer's wish to the first picture, in milliseconds.
    pub startup_ms: Option<u32>,
    /// `bs`: the buffer ran empty since the last request.
    pub starved: bool,
    /// `bsd`: for how long, in milliseconds.
    pub starved_ms: Option<u32>,
    /// `ec`: the player has met an error.
    pub failed: bool,
}

/// Reads a request's report; none when it has none. What cannot be read is left out: a player's mistake costs a number.
pub fn read(query: Option<&str>, headers: &HeaderMap) -> Option<Report> {
    let query = query.filter(|query| query.contains(QUERY));
    let mut report = None;
    if let Some(query) = query {
        let mut pairs = form_urlencoded::parse(query.as_bytes());
        if let Some((_, value)) = pairs.find(|(name, _)| name == QUERY) {
            take(&mut report, value.as_bytes());
        }
    }
    for name in HEADERS {
        if let Some(value) = headers.get(name) {
            take(&mut report, value.as_bytes());
        }
    }
    report
}

fn take(report: &mut Option<Report>, text: &[u8]) {
    if text.len() > LONGEST {
        return;
    }
    // One that cannot be read, such as a key of somebody's own in capitals, costs the others nothing.
    let members = members(text).filter_map(|member| Parser::new(member).parse::<Dictionary>().ok());
    for (key, value) in members.flatten() {
        let (report, value) = (report.get_or_insert_default(), &value);
        match key.as_str() {
            "sid" => report.session = text_of(value).filter(|sid| sid.len() <= LONGEST_SID),
            "bl" => report.buffer_ms = numbers(value).min(),
            "mtp" => report.throughput_kbps = numbers(value).max(),
            "br" => report.bitrate_kbps = numbers(value).max(),
            "ltc" => report.latency_ms = numbers(value).max(),
            "msd" => report.startup_ms = numbers(value).max(),
            "bs" => report.starved = is_true(value),
            "bsd" => report.starved_ms = numbers(value).max(),
            "ec" => report.failed = true,
            _ => {}
        }
    }
}

/// The members of a dictionary: what is between commas that are in no string and no list.
fn members(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let (mut quoted, mut escaped, mut depth) = (false, false, 0_u32);
    text.split(move |byte| {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'(' if !quoted => depth += 1,
            b')' if !quoted => depth = depth.saturating_sub(1),
            b',' => return !quoted && depth == 0,
            _ => {}
        }
        false
    })
}

/// Version 1 has a number where version 2 has a list with one for each kind of media.
fn numbers(value: &ListEntry) -> impl Iterator<Item = u32> {
    let items = match value {
        ListEntry::Item(item) => std::slice::from_ref(item),
        ListEntry::InnerList(list) => &list.items[..],
    };
    let number = |item: &BareItem| match item {
        BareItem::Integer(number) => u32::try_from(i64::from(*number)).ok(),
        BareItem::Decimal(number) => Some(f64::from(*number).max(0.0) as u32),
        _ => None,
    };
    items.iter().filter_map(move |item| number(&item.bare_item))
}

fn text_of(value: &ListEntry) -> Option<String> {
    let ListEntry::Item(item) = value else { return None };
    item.bare_item.as_string().map(|text| text.as_str().to_owned())
}

fn is_true(value: &ListEntry) -> bool {
    matches!(value, ListEntry::Item(item) if item.bare_item == BareItem::Boolean(true))
}

/// Any bytes as a query and as headers.
pub fn fuzz(data: &[u8]) {
    let mut headers = HeaderMap::new();
    if let Ok(value) = http::HeaderValue::from_bytes(data) {
        headers.insert(HEADERS[0], value);
    }
    let text = String::from_utf8_lossy(data);
    for query in [format!("{QUERY}={text}"), text.into_owned()] {
        if let Some(report) = read(Some(&query), &headers) {
            assert!(
                report.session.is_none_or(|sid| sid.len() <= LONGEST_SID),
                "a session's name has no bound"
            );
        }
    }
}

const QUERY: &str = "CMCD";
const HEADERS: [&str; 4] = ["cmcd-request", "cmcd-object", "cmcd-status", "cmcd-session"];
/// The standard asks for far less.
const LONGEST: usize = 4096;
/// What the standard allows for `sid`.
const LONGEST_SID: usize = 64;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        lines
            .iter()
            .map(|(name, value)| (http::HeaderName::from_static(name), http::HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn version_1_is_read_from_a_query_and_from_headers() {
        let query =
            "a=b&CMCD=bl%3D21300%2Cbr%3D3200%2Cbs%2Cd%3D4004%2Cmtp%3D25400%2Cot%3Dv%2Csid%3D%226e2fb550%22";
        let want = Report {
            session: Some("6e2fb550".into()),
            buffer_ms: Some(21_300),
            throughput_kbps: Some(25_400),
            bitrate_kbps: Some(3_200),
            starved: true,
            ..Report::default()
        };
        assert_eq!(read(Some(query), &HeaderMap::new()), Some(want.clone()));
        let spread = headers(&[
            ("cmcd-object", "br=3200,d=4004,ot=v,tb=6000"),
            ("cmcd-request", "bl=21300,mtp=25400,nor=\"..%2F300kbps%2Fnext.m4v\",su"),
            ("cmcd-session", "sid=\"6e2fb550\",sf=h,st=l"),
            ("cmcd-status", "bs,rtp=12000"),
        ]);
        assert_eq!(read(None, &spread), Some(want));
    }

    #[test]
    fn version_2_has_lists_and_says_more() {
        let lists = headers(&[
            ("cmcd-object", "br=(5000;v 128;a)"),
            ("cmcd-request", "bl=(2500;v 1800;a),mtp=(48000),ltc=3100,msd=640"),
            ("cmcd-status", "bs=?1,bsd=(700;v),ec=(\"404\"),sta=r"),
            ("cmcd-session", "v=2,sid=\"s\""),
        ]);
        let want = Report {
            session: Some("s".into()),
            buffer_ms: Some(1_800),
            throughput_kbps: Some(48_000),
            bitrate_kbps: Some(5_000),
            latency_ms: Some(3_100),
            startup_ms: Some(640),
            starved: true,
            starved_ms: Some(700),
            failed: true,
        };
        assert_eq!(read(None, &lists), Some(want));
    }

    #[test]
    fn nothing_and_nonsense_are_no_report() {
        for query in [None, Some("x=CMC"), Some("CMCD=%22"), Some("CMCD=BL%3D1"), Some("_HLS_msn=1")] {
            assert_eq!(read(query, &HeaderMap::new()), None, "{query:?}");
        }
        // A key of somebody's own that is none of the syntax's costs itself only.
        let own = read(
            Some("CMCD=bl%3D900%2Ccom.example-myKey%3D%22a%2C%5C%22b%22%2Cbr%3D(1%202)%2Cmtp%3D7"),
            &HeaderMap::new(),
        );
        let want = Report {
            buffer_ms: Some(900),
            bitrate_kbps: Some(2),
            throughput_kbps: Some(7),
            ..Report::default()
        };
        assert_eq!(own, Some(want));
        let odd = read(Some("CMCD=bl%3D-5%2Cmtp%3D999999999999%2Csid%3D5"), &HeaderMap::new());
        assert_eq!(odd, Some(Report::default()));
    }

    const REPORT: &[u8] = b"bl=21300,br=(5000;v 128;a),bs,sid=\"6e2fb550\",mtp=25.5,ec=(\"1\")";

    proptest! {
        #[test]
        fn fuzz_survives_noise(data in prop::collection::vec(any::<u8>(), 0..256)) {
            fuzz(&data);
        }

        #[test]
        fn fuzz_survives_damage(edits in prop::collection::vec((0..REPORT.len(), any::<u8>()), 1..8)) {
            let mut report = REPORT.to_vec();
            edits.into_iter().for_each(|(at, byte)| report[at] = byte);
            fuzz(&report);
        }
    }
}
