//! What one media playlist must say by itself (RFC 8216bis sections 4, 6.2 and 8, appendix B).

use super::findings::Findings;
use super::playlist::{Media, Multivariant, Part, Variant};

/// Checks a full playlist (no `EXT-X-SKIP`) of a live broadcast or of one that has ended.
pub(super) fn check(list: &Media, video: bool, findings: &mut Findings) {
    header(list, findings);
    segments(list, findings);
    parts(list, video, findings);
    tail(list, findings);
}

/// Checks a multivariant playlist: what section 4.4.6 requires, and what a player needs to choose.
pub(super) fn check_multivariant(list: &Multivariant, findings: &mut Findings) {
    findings.check(!list.variants.is_empty(), || "no variant".into());
    findings.check(list.independent_segments, || "no EXT-X-INDEPENDENT-SEGMENTS".into());
    for variant in &list.variants {
        let uri = &variant.uri;
        relative(uri, findings);
        findings.check(variant.bandwidth > 0, || format!("{uri}: BANDWIDTH is 0"));
        findings.check(!variant.codecs.is_empty(), || format!("{uri}: CODECS is empty"));
        let has = |kinds: &[&str]| {
            variant.codecs.split(',').any(|codec| kinds.iter().any(|kind| codec.starts_with(kind)))
        };
        let video = has(&["avc1.", "hvc1.", "av01.", "vp09."]);
        findings
            .check(video == variant.resolution.is_some(), || format!("{uri}: RESOLUTION and CODECS differ"));
        findings.check(!video || variant.frame_rate.is_some(), || format!("{uri}: no FRAME-RATE"));
        if let Some(group) = &variant.audio {
            let known = list.audio.iter().any(|audio| audio.group == *group);
            findings.check(known, || format!("{uri}: its audio group {group} is not declared"));
            let audio = has(&["mp4a.", "Opus", "fLaC"]);
            findings.check(audio, || format!("{uri}: CODECS lacks its audio"));
        }
    }
    for audio in &list.audio {
        relative(&audio.uri, findings);
    }
    captions(list, findings);
    for i_frames in &list.i_frames {
        let uri = &i_frames.uri;
        relative(uri, findings);
        let same = |variant: &Variant| {
            variant.resolution == i_frames.resolution && variant.codecs.starts_with(&i_frames.codecs)
        };
        findings.check(list.variants.iter().any(same), || format!("{uri}: no variant is like it"));
        findings.check(i_frames.bandwidth > 0, || format!("{uri}: BANDWIDTH is 0"));
    }
    let steered = list.steering.is_some();
    for variant in &list.variants {
        let average = variant.average.unwrap_or(0);
        findings.check(average <= variant.bandwidth, || {
            format!("{}: the average is above the peak", variant.uri)
        });
        findings.check(steered == variant.pathway.is_some(), || format!("{}: PATHWAY-ID", variant.uri));
    }
}

/// Sections 4.4.6.1 and 4.4.6.2: groups that exist, NONE everywhere or nowhere, SERVICE from version 7 on.
fn captions(list: &Multivariant, findings: &mut Findings) {
    let services = list.captions.iter().any(|(id, _)| id.starts_with("SERVICE"));
    findings.check(!services || list.version >= 7, || format!("SERVICE in version {}", list.version));
    let none = |variant: &&Variant| variant.captions.as_deref() == Some("NONE");
    let without = list.variants.iter().filter(none).count();
    findings
        .check(without == 0 || without == list.variants.len(), || "some have CLOSED-CAPTIONS=NONE".into());
    for group in list.variants.iter().filter_map(|variant| variant.captions.as_deref()) {
        let declared = list.captions.iter().any(|(_, known)| group == format!("\"{known}\""));
        findings.check(group == "NONE" || declared, || format!("captions {group} are not declared"));
    }
}

fn header(list: &Media, findings: &mut Findings) {
    // Section 8: EXT-X-MAP outside I-frame playlists needs 6, EXT-X-SKIP 9, and 10 when it leaves out ranges.
    let needed = match (list.skipped, &list.removed_ranges) {
        (1.., Some(_)) => 10,
        (1.., None) => 9,
        _ => 6,
    };
    findings.check(list.version >= needed, || {
        format!("EXT-X-VERSION is {}, its tags need {needed}", list.version)
    });
    let Some(target) = list.target else {
        return findings.check(false, || "no EXT-X-TARGETDURATION".into());
    };
    findings.check(list.map.is_some(), || "no EXT-X-MAP".into());
    if let Some(map) = &list.map {
        relative(map, findings);
    }
    let Some(part_target) = list.part_target else {
        return findings.check(false, || "no EXT-X-PART-INF".into());
    };
    let control = &list.control;
    let target = f64::from(target);
    findings.check(control.can_block_reload, || "no CAN-BLOCK-RELOAD=YES".into());
    match control.part_hold_back {
        // The MUST is 2, the SHOULD 3.
        Some(back) => findings.check(back >= 3.0 * part_target - EPSILON, || {
            format!("PART-HOLD-BACK={back} is under three parts of {part_target}")
        }),
        None => findings.check(false, || "no PART-HOLD-BACK".into()),
    }
    if let Some(back) = control.hold_back {
        findings.check(back >= 3.0 * target - EPSILON, || format!("HOLD-BACK={back} is under three targets"));
    }
    if let Some(until) = control.can_skip_until {
        findings.check(until >= 6.0 * target - EPSILON, || {
            format!("CAN-SKIP-UNTIL={until} is under six targets")
        });
    }
}

fn segments(list: &Media, findings: &mut Findings) {
    let target = list.target.unwrap_or(u32::MAX);
    for segment in &list.segments {
        let msn = segment.msn;
        relative(&segment.uri, findings);
        findings.check(segment.duration > 0.0, || format!("segment {msn} lasts {}", segment.duration));
        findings.check(segment.duration.round() <= f64::from(target), || {
            format!("segment {msn} lasts {}, the target is {target}", segment.duration)
        });
        findings.check(segment.date.is_some(), || format!("segment {msn} has no date"));
        findings.check(segment.range.is_none(), || format!("segment {msn} is a range"));
    }
    for pair in list.segments.windows(2) {
        if let [a, b] = pair
            && let (Some(start), Some(next)) = (a.date, b.date)
            && !b.discontinuity
        {
            let off = next - start - a.duration;
            findings.check(off.abs() <= DATE_ROUNDING, || {
                format!("segment {}'s date is {off:.4} s off its predecessor's end", b.msn)
            });
        }
    }
}

fn parts(list: &Media, video: bool, findings: &mut Findings) {
    let Some(part_target) = list.part_target else { return };
    let longest = |part: &Part| part.duration <= part_target + EPSILON;
    // Section 4.4.4.9: all but a segment's last part last at least 85 % of the target.
    let shortest = |part: &Part| part.duration >= 0.85 * part_target - EPSILON;
    for (msn, index, part) in list.parts() {
        relative(&part.uri, findings);
        findings.check(longest(part), || format!("part {msn}.{index} lasts {}", part.duration));
        findings.check(!video || index > 0 || part.independent || part.gap, || {
            format!("part {msn}.{index} begins a segment and is not INDEPENDENT")
        });
    }
    for segment in &list.segments {
        let msn = segment.msn;
        let Some((_, but_last)) = segment.parts.split_last() else { continue };
        for (index, part) in but_last.iter().enumerate() {
            findings.check(shortest(part), || format!("part {msn}.{index} lasts only {}", part.duration));
        }
        let sum: f64 = segment.parts.iter().map(|part| part.duration).sum();
        let off = (sum - segment.duration).abs();
        findings.check(off <= EPSILON * (segment.parts.len() + 1) as f64, || {
            format!("segment {msn}'s parts last {sum}, it lasts {}", segment.duration)
        });
    }
    for (index, part) in list.growing.iter().rev().skip(1).rev().enumerate() {
        findings.check(shortest(part), || format!("growing part {index} lasts only {}", part.duration));
    }
    // Section 4.4.4.9: parts stay listed for three target durations.
    let mut age: f64 = list.growing.iter().map(|part| part.duration).sum();
    for segment in list.segments.iter().rev() {
        let recent = age + segment.duration <= 3.0 * f64::from(list.target.unwrap_or(0));
        findings.check(!recent || list.ended || segment.gap || !segment.parts.is_empty(), || {
            format!("segment {} is {age:.1} s old and lists no parts", segment.msn)
        });
        age += segment.duration;
    }
}

fn tail(list: &Media, findings: &mut Findings) {
    if list.ended {
        findings.check(list.hint.is_none(), || "a hint after the end".into());
        findings.check(list.growing.is_empty(), || "parts of an unfinished segment after the end".into());
        return;
    }
    match &list.hint {
        Some(uri) => {
            relative(uri, findings);
            let known = list.parts().any(|(_, _, part)| part.uri == *uri);
            findings.check(!known, || format!("the hinted part {uri} is already listed"));
        }
        None => findings.check(false, || "no EXT-X-PRELOAD-HINT".into()),
    }
    let (msn, _) = list.last();
    for report in &list.reports {
        relative(&report.uri, findings);
        findings.check(report.last_msn.abs_diff(msn) <= 1, || {
            format!("{} is reported at {}, this one is at {msn}", report.uri, report.last_msn)
        });
        findings.check(report.last_part.is_some(), || format!("{}: no LAST-PART", report.uri));
    }
}

/// A path that a token or any other prefix survives (design section 4).
fn relative(uri: &str, findings: &mut Findings) {
    findings.check(!uri.contains("://") && !uri.starts_with('/'), || format!("{uri} is not relative"));
    findings.check(!uri.contains('?'), || format!("{uri} carries a query"));
}

/// Half a unit of the third decimal, with some air: durations may be written with three.
const EPSILON: f64 = 0.000_6;
/// Dates are written in milliseconds, both ends may be rounded.
const DATE_ROUNDING: f64 = 0.002;
