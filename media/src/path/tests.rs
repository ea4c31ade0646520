//! Every name in its one spelling.

use proptest::prelude::*;

use super::*;

const GOOD: [&str; 14] = [
    "/live/demo/index.m3u8",
    "/live/demo/index.mpd",
    "/live/demo/b1/source/media.m3u8",
    "/live/demo/b1/source/iframe.m3u8",
    "/live/demo/b1/audio/init.mp4",
    "/live/demo/b1/audio/init.12.mp4",
    "/live/demo/b1/480p/0.m4s",
    "/live/demo/b1/480p/18446744073709551615.m4s",
    "/live/demo/b1/480p/0.0.m4s",
    "/live/0-_/1/x/7.4294967295.m4s",
    "/live/demo/thumb.jpg",
    "/live/demo/b1/thumbs/index.vtt",
    "/live/demo/b1/thumbs/0.jpg",
    "/live/demo/b1/thumbs/sheet.18446744073709551615.jpg",
];

const BAD: [&str; 46] = [
    "",
    "/",
    "/live",
    "/live/",
    "/live/demo",
    "/live/demo/",
    "/live//index.m3u8",
    "live/demo/index.m3u8",
    "/live/demo/index.m3u8/",
    "/live/demo/index.m3u8?x",
    "/live/Demo/index.m3u8",
    "/live/d%65mo/index.m3u8",
    "/live/../index.m3u8",
    "/live/-d/index.m3u8",
    "/live/demo/media.m3u8",
    "/live/demo/b/media.m3u8",
    "/live/demo/b/r/index.m3u8",
    "/live/demo/b/index.mpd",
    "/live/demo/b//media.m3u8",
    "/live/demo/b/r/media.m3u8/x",
    "/live/demo/b/r/01.m4s",
    "/live/demo/b/r/00.m4s",
    "/live/demo/b/r/+1.m4s",
    "/live/demo/b/r/-1.m4s",
    "/live/demo/b/r/.m4s",
    "/live/demo/b/r/1..m4s",
    "/live/demo/b/r/1.2.3.m4s",
    "/live/demo/b/r/18446744073709551616.m4s",
    "/live/demo/b/r/1.4294967296.m4s",
    "/live/demo/b/r/1.01.m4s",
    "/live/demo/b/r/1.mp4",
    "/live/demo/b/r/init.0.mp4",
    "/live/demo/b/r/init.01.mp4",
    "/live/demo/b/r/init..mp4",
    "/live/demo/thumb.jpg/",
    "/live/demo/b/thumb.jpg",
    "/live/demo/b/r/0.jpg",
    "/live/demo/b/r/index.vtt",
    "/live/demo/b/thumbs",
    "/live/demo/b/thumbs/media.m3u8",
    "/live/demo/b/thumbs/0.m4s",
    "/live/demo/b/thumbs/01.jpg",
    "/live/demo/b/thumbs/.jpg",
    "/live/demo/b/thumbs/sheet.jpg",
    "/live/demo/b/thumbs/sheet.00.jpg",
    "/live/demo/b/thumbs/0.jpg/x",
];

#[test]
fn each_resource_has_one_spelling() {
    for path in GOOD {
        assert_eq!(Resource::parse(path).unwrap().to_string(), path);
    }
    for path in BAD {
        assert!(Resource::parse(path).is_err(), "{path}");
    }
    let long = format!("/live/{}/index.m3u8", "x".repeat(64));
    assert_eq!(Resource::parse(&long), Err(Invalid::Name));
}

#[test]
fn a_part_says_where_it_belongs() {
    let part = Resource::parse("/live/demo/b1/480p/12.3.m4s").unwrap();
    assert_eq!(part.channel(), "demo");
    assert_eq!(part.within(), Some(("b1", "480p", File::Part { msn: 12, part: 3 })));
    assert!(part.is_immutable());
    assert!(!Resource::parse("/live/demo/index.m3u8").unwrap().is_immutable());
    assert!(!Resource::parse("/live/demo/index.mpd").unwrap().is_immutable());
}

#[test]
fn pictures_belong_to_no_rendition_and_only_their_list_changes() {
    for (path, immutable) in [
        ("/live/demo/thumb.jpg", false),
        ("/live/demo/b1/thumbs/index.vtt", false),
        ("/live/demo/b1/thumbs/3.jpg", true),
        ("/live/demo/b1/thumbs/sheet.3.jpg", true),
    ] {
        let resource = Resource::parse(path).unwrap();
        assert_eq!((resource.within(), resource.channel()), (None, "demo"), "{path}");
        assert_eq!(resource.is_immutable(), immutable, "{path}");
    }
}

proptest! {
    #[test]
    fn nothing_panics_and_nothing_has_two_spellings(
        seed in 0..GOOD.len(), at in any::<usize>(), bytes in proptest::collection::vec(any::<u8>(), 0..4),
    ) {
        let mut path = GOOD[seed].as_bytes().to_vec();
        let at = at % path.len();
        path.splice(at..at, bytes);
        fuzz(&path);
    }
}
