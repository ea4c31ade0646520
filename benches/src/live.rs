//! The text of a low-latency playlist that grows part by part.

/// Parts of half a second in a segment of two.
pub(crate) const PARTS: u64 = 4;
/// Parts that a broadcast begins with: a whole window.
pub(crate) const BEGIN: u64 = 12 * PARTS;
/// The playlist's name in its rendition's folder.
pub(crate) const PLAYLIST: &str = "media.m3u8";

/// The part, counted from the broadcast's first, without which a request cannot be answered; `None` for what is not
/// here.
pub(crate) fn wanted(file: &str, query: &str) -> Option<u64> {
    if file == PLAYLIST {
        let number = |name: &str| {
            let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs.filter(|(key, _)| *key == name).find_map(|(_, value)| value.parse::<u64>().ok())
        };
        return Some(match number("_HLS_msn") {
            Some(msn) => msn * PARTS + number("_HLS_part").unwrap_or(PARTS - 1),
            None => 0,
        });
    }
    let (msn, part) = file.strip_suffix(".m4s")?.split_once('.')?;
    Some(msn.parse::<u64>().ok()? * PARTS + part.parse::<u64>().ok()?)
}

/// The playlist once there are `parts`.
pub(crate) fn playlist(parts: u64) -> String {
    let (end, open) = (parts / PARTS, parts % PARTS);
    let first = end.saturating_sub(12);
    let part = |msn: u64, index: u64| {
        let independent = if index == 0 { ",INDEPENDENT=YES" } else { "" };
        format!("#EXT-X-PART:DURATION=0.5,URI=\"{msn}.{index}.m4s\"{independent}\n")
    };
    let mut text = head(first);
    for msn in first..end {
        // RFC 8216bis §4.4.4.9: parts are listed while they are within three target durations of the end.
        if msn + 3 >= end {
            text.extend((0..PARTS).map(|index| part(msn, index)));
        }
        text += &segment(msn);
    }
    text.extend((0..open).map(|index| part(end, index)));
    text + &format!("#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"{end}.{open}.m4s\"\n")
}

/// That of a broadcast that has ended.
pub(crate) fn ended() -> String {
    (0..12).map(segment).fold(head(0), |text, segment| text + &segment) + "#EXT-X-ENDLIST\n"
}

fn head(first: u64) -> String {
    format!(
        "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:2\n\
         #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.5,CAN-SKIP-UNTIL=12\n\
         #EXT-X-PART-INF:PART-TARGET=0.5\n#EXT-X-MEDIA-SEQUENCE:{first}\n#EXT-X-MAP:URI=\"init.mp4\"\n"
    )
}

fn segment(msn: u64) -> String {
    let (minute, second) = (msn * 2 / 60 % 60, msn * 2 % 60);
    format!("#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:{minute:02}:{second:02}.000Z\n#EXTINF:2.0,\n{msn}.m4s\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_waits_for_the_part_it_names() {
        assert_eq!(wanted(PLAYLIST, ""), Some(0));
        assert_eq!(wanted(PLAYLIST, "_HLS_msn=12&_HLS_part=2"), Some(50));
        assert_eq!(wanted("12.2.m4s", ""), Some(50));
        assert_eq!(wanted("nothing", ""), None);
    }

    #[test]
    fn the_next_part_is_hinted_and_the_last_ones_are_listed() {
        let text = playlist(50);
        assert!(
            text.contains("URI=\"12.1.m4s\"\n#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"12.2.m4s\"\n"),
            "{text}"
        );
        assert!(!text.contains("URI=\"8.0.m4s\"") && text.contains("\n8.m4s\n"), "{text}");
        assert!((800..1500).contains(&ended().len()), "{}", ended().len());
    }
}
