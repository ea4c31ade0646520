//! What may change from one playlist to the next (RFC 8216bis sections 6.2.1, 6.2.2 and 6.2.5.1).

use super::findings::Findings;
use super::playlist::Media;

/// Checks that `new` is a later state of `old`.
pub(super) fn check(old: &Media, new: &Media, findings: &mut Findings) {
    findings.check(new.target == old.target, || {
        format!("the target went from {:?} to {:?}", old.target, new.target)
    });
    findings.check(new.part_target == old.part_target, || "the part target changed".into());
    findings.check(new.msn >= old.msn, || {
        format!("the media sequence went back from {} to {}", old.msn, new.msn)
    });
    findings.check(new.last() >= old.last(), || {
        format!("the end went back from {:?} to {:?}", old.last(), new.last())
    });
    findings.check(!old.ended || new.ended, || "a playlist that had ended goes on".into());
    segments(old, new, findings);
    parts(old, new, findings);
    ranges(old, new, findings);

    let removed = old.segments.iter().filter(|segment| segment.msn < new.msn);
    let discontinuities = removed.clone().filter(|segment| segment.discontinuity).count() as u64;
    findings.check(new.discontinuity_sequence == old.discontinuity_sequence + discontinuities, || {
        format!(
            "EXT-X-DISCONTINUITY-SEQUENCE is {}, {discontinuities} were removed",
            new.discontinuity_sequence
        )
    });
    // Section 6.2.2: never remove a segment if less than three targets would stay.
    if removed.count() > 0 {
        let left: f64 = new.segments.iter().map(|segment| segment.duration).sum();
        let least = 3.0 * f64::from(new.target.unwrap_or(0));
        findings.check(left >= least, || {
            format!("segments were removed and {left} s are left of at least {least}")
        });
    }
}

fn segments(old: &Media, new: &Media, findings: &mut Findings) {
    for segment in &old.segments {
        let Some(same) = new.segments.iter().find(|other| other.msn == segment.msn) else {
            let msn = segment.msn;
            findings.check(msn < new.msn, || format!("segment {msn} vanished from the middle"));
            continue;
        };
        let msn = segment.msn;
        findings.check(same.uri == segment.uri, || format!("segment {msn} has another URI"));
        findings.check(same.duration == segment.duration, || format!("segment {msn} has another duration"));
        findings.check(same.date == segment.date, || format!("segment {msn} has another date"));
        findings.check(same.map == segment.map, || format!("segment {msn} has another map"));
        findings.check(same.discontinuity == segment.discontinuity, || {
            format!("segment {msn} lost a discontinuity")
        });
    }
}

fn parts(old: &Media, new: &Media, findings: &mut Findings) {
    for (msn, index, part) in old.parts() {
        let listed: Vec<_> = new.parts().filter(|(other, _, _)| *other == msn).collect();
        // Old parts may go, all of a segment's together.
        if listed.is_empty() {
            continue;
        }
        let same = listed.iter().find(|(_, other, _)| *other == index).map(|(_, _, part)| *part);
        findings
            .check(same == Some(part), || format!("part {msn}.{index} changed from {part:?} to {same:?}"));
    }
}

/// Section 4.4.5.1: a range keeps what it says, and goes only when its time has left the playlist (6.2.2).
fn ranges(old: &Media, new: &Media, findings: &mut Findings) {
    for range in &old.ranges {
        let id = &range.id;
        match new.ranges.iter().find(|same| same.id == *id) {
            Some(same) => findings.check(same == range, || format!("date range {id} changed: {}", same.text)),
            None => {
                let first = new.segments.first().and_then(|segment| segment.date).unwrap_or(f64::MAX);
                findings.check(range.end < first, || format!("date range {id} vanished"));
            }
        }
    }
}

/// `delta` with the segments it skipped taken from `base`, as section 6.2.5.1 has clients do it.
///
/// `None` when `base` does not reach back far enough: a client then asks for the whole playlist.
pub(super) fn apply(base: &Media, delta: &Media) -> Option<Media> {
    let mut full = delta.clone();
    let first_listed = delta.msn + delta.skipped;
    let kept: Vec<_> =
        base.segments.iter().filter(|s| s.msn >= delta.msn && s.msn < first_listed).cloned().collect();
    if kept.len() as u64 != delta.skipped {
        return None;
    }
    // A delta update need not repeat the map that was in force where it begins.
    let before = kept.last().and_then(|segment| segment.map.clone());
    full.map = kept.first().and_then(|segment| segment.map.clone()).or(full.map);
    full.segments.iter_mut().for_each(|segment| segment.map = segment.map.take().or_else(|| before.clone()));
    full.growing_map = full.growing_map.or(before);
    full.segments.splice(0..0, kept);
    full.skipped = 0;
    if let Some(removed) = full.removed_ranges.take() {
        let stays = |id: &String| !removed.contains(id) && full.ranges.iter().all(|new| new.id != *id);
        let kept: Vec<_> = base.ranges.iter().filter(|range| stays(&range.id)).cloned().collect();
        full.ranges.splice(0..0, kept);
    }
    Some(full)
}
