//! The strict player must itself be strict: every rule has a playlist here that breaks it.

use super::findings::Findings;
use super::playlist::Media;
use super::{evolution, resolve, rules};

const GOOD: &str = "#EXTM3U
#EXT-X-VERSION:9
#EXT-X-TARGETDURATION:2
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.5,HOLD-BACK=6,CAN-SKIP-UNTIL=12
#EXT-X-PART-INF:PART-TARGET=0.5
#EXT-X-MEDIA-SEQUENCE:7
#EXT-X-MAP:URI=\"init.mp4\"
#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:00.000Z
#EXT-X-PART:DURATION=0.5,URI=\"7.0.m4s\",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.5,URI=\"7.1.m4s\"
#EXT-X-PART:DURATION=0.5,URI=\"7.2.m4s\"
#EXT-X-PART:DURATION=0.5,URI=\"7.3.m4s\"
#EXTINF:2.000,
7.m4s
#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:02.000Z
#EXT-X-PART:DURATION=0.5,URI=\"8.0.m4s\",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.5,URI=\"8.1.m4s\"
#EXT-X-PART:DURATION=0.5,URI=\"8.2.m4s\"
#EXT-X-PART:DURATION=0.5,URI=\"8.3.m4s\"
#EXTINF:2.000,
8.m4s
#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:04.000Z
#EXT-X-PART:DURATION=0.5,URI=\"9.0.m4s\",INDEPENDENT=YES
#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"9.1.m4s\"
#EXT-X-RENDITION-REPORT:URI=\"../360p/media.m3u8\",LAST-MSN=9,LAST-PART=0
";

fn broken(text: &str) -> String {
    let mut findings = Findings::default();
    match Media::parse(text) {
        Ok(list) => rules::check(&list, true, &mut findings),
        Err(error) => return format!("{error:#}"),
    }
    findings.to_string()
}

#[test]
fn a_good_playlist_breaks_no_rule() {
    assert_eq!(broken(GOOD), "");
}

#[test]
fn every_broken_rule_is_found() {
    for (good, bad, finding) in [
        ("#EXTM3U", "#EXTM3U8", "not #EXTM3U"),
        ("VERSION:9", "VERSION:3", "EXT-X-VERSION is 3"),
        ("TARGETDURATION:2", "TARGETDURATION:1", "the target is 1"),
        ("CAN-BLOCK-RELOAD=YES,", "", "no CAN-BLOCK-RELOAD"),
        ("PART-HOLD-BACK=1.5", "PART-HOLD-BACK=1.0", "under three parts"),
        (",HOLD-BACK=6", ",HOLD-BACK=5", "under three targets"),
        ("UNTIL=12", "UNTIL=10", "under six targets"),
        ("UNTIL=12", "UNTIL=12,", "a comma ends the list"),
        ("DURATION=0.5,URI=\"8.1.m4s\"", "DURATION=0.6,URI=\"8.1.m4s\"", "part 8.1 lasts 0.6"),
        ("DURATION=0.5,URI=\"8.1.m4s\"", "DURATION=0.3,URI=\"8.1.m4s\"", "part 8.1 lasts only 0.3"),
        ("8.0.m4s\",INDEPENDENT=YES", "8.0.m4s\"", "is not INDEPENDENT"),
        ("#EXTINF:2.000,\n8.m4s", "#EXTINF:1.900,\n8.m4s", "segment 8's parts last 2"),
        ("#EXT-X-PART:DURATION=0.5,URI=\"7.", "## \"7.", "lists no parts"),
        ("00:00:02", "00:00:03", "segment 8's date"),
        ("#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:00.000Z\n", "", "segment 7 has no date"),
        ("URI=\"9.1.m4s\"", "URI=\"9.0.m4s\"", "already listed"),
        ("TYPE=PART", "TYPE=MAP", "only parts are hinted"),
        ("LAST-MSN=9", "LAST-MSN=12", "is reported at 12"),
        ("LAST-MSN=9,LAST-PART=0", "LAST-MSN=9", "no LAST-PART"),
        ("\n7.m4s", "\nhttps://a/7.m4s", "is not relative"),
        ("\n7.m4s", "\n7.m4s?token=1", "carries a query"),
        ("#EXT-X-MAP", "#EXT-X-MAPS", "no tag of a live media playlist"),
        ("#EXTINF:2.000,\n7", "7", "a URI without EXTINF"),
    ] {
        assert!(GOOD.contains(good), "{good} is not in the playlist");
        let found = broken(&GOOD.replace(good, bad));
        assert!(found.contains(finding), "{bad}: expected {finding:?} in:\n{found}");
    }
}

#[test]
fn a_playlist_may_only_grow_at_its_end_and_shrink_at_its_start() {
    let old = Media::parse(GOOD).unwrap();
    let changed = |from: &str, to: &str| {
        let mut findings = Findings::default();
        evolution::check(&old, &Media::parse(&GOOD.replace(from, to)).unwrap(), &mut findings);
        findings.to_string()
    };
    let grown = "URI=\"9.0.m4s\",INDEPENDENT=YES\n#EXT-X-PART:DURATION=0.5,URI=\"9.1.m4s\"";
    assert_eq!(changed("URI=\"9.0.m4s\",INDEPENDENT=YES", grown), "");
    for (from, to, finding) in [
        ("SEQUENCE:7", "SEQUENCE:6", "went back from 7 to 6"),
        ("SEQUENCE:7", "SEQUENCE:8", "has another URI"),
        ("8.2.m4s", "8.9.m4s", "part 8.2 changed"),
        ("00:00:02", "00:00:03", "another date"),
        ("DURATION:2", "DURATION:3", "the target went"),
    ] {
        let found = changed(from, to);
        assert!(found.contains(finding), "{to}: expected {finding:?} in:\n{found}");
    }
}

#[test]
fn a_delta_update_restores_what_it_skipped() {
    let old = Media::parse(GOOD).unwrap();
    let (start, rest) = GOOD.split_once("#EXT-X-PROGRAM").unwrap();
    let (_, rest) = rest.split_once("7.m4s\n").unwrap();
    let skip = |count| format!("{start}#EXT-X-SKIP:SKIPPED-SEGMENTS={count}\n{rest}");
    let delta = Media::parse(&skip(1)).unwrap();
    assert_eq!(delta.segments.len(), 1);
    let full = evolution::apply(&old, &delta).unwrap();
    assert_eq!((full.segments, full.skipped, full.msn), (old.segments.clone(), 0, old.msn));

    let too_much = Media::parse(&skip(3)).unwrap();
    assert!(evolution::apply(&old, &too_much).is_none());
}

#[test]
fn relative_paths_resolve_as_in_rfc_3986() {
    for (base, uri, path) in [
        ("/live/demo/index.m3u8", "b1/source/media.m3u8", "/live/demo/b1/source/media.m3u8"),
        ("/live/demo/b1/source/media.m3u8?_HLS_msn=1", "9.1.m4s", "/live/demo/b1/source/9.1.m4s"),
        ("/live/demo/b1/source/media.m3u8", "../360p/media.m3u8", "/live/demo/b1/360p/media.m3u8"),
    ] {
        assert_eq!(resolve(base, uri), path);
    }
}
