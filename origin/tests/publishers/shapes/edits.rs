//! What cameras, clocks and lines do to a stream that was even when it was encoded.
//!
//! The stream has 6 s: 180 pictures, a keyframe each second, and 48 kHz stereo.

use super::outcome::Expected;
use crate::sender::{AUDIO, Tag, VIDEO};

/// A change to the tags of the even stream.
pub(super) struct Edit {
    pub(super) name: &'static str,
    pub(super) change: fn(Vec<Tag>) -> Vec<Tag>,
    pub(super) expected: Expected,
    /// How long the picture is, as far as it can be shown.
    pub(super) seconds: f64,
}

const fn edit(
    name: &'static str,
    seconds: f64,
    expected: Expected,
    change: fn(Vec<Tag>) -> Vec<Tag>,
) -> Edit {
    Edit { name, change, expected, seconds }
}

const WHOLE: Expected = Expected::video(180, 30.0).sound(48_000, 2);
/// From the second keyframe on.
const LATER: Expected = Expected::video(150, 30.0).sound(48_000, 2);

pub(super) const EDITS: &[Edit] = &[
    edit("starts-high", 6.0, WHOLE, |tags| shifted(tags, 0, 3_000_000_000)),
    edit("wraps", 6.0, WHOLE, |tags| shifted(tags, 0, u32::MAX - 2_500)),
    edit("extended-and-back", 6.0, WHOLE, |tags| shifted(tags, 0, 0xff_ffff - 2_500)),
    edit("jumps-an-hour-ahead", 6.0, WHOLE, |tags| shifted(tags, 3_000, 3_600_000)),
    edit("jumps-an-hour-back", 6.0, WHOLE, |tags| {
        shifted(shifted(tags, 0, 7_200_000), 7_203_000, 0_u32.wrapping_sub(3_600_000))
    }),
    edit("begins-anew-at-zero", 6.0, WHOLE, |tags| {
        shifted(shifted(tags, 0, 60_000), 63_000, 0_u32.wrapping_sub(63_000))
    }),
    edit("late-audio", 6.0, WHOLE, |tags| late(tags, AUDIO, 700)),
    edit("late-video", 5.0, LATER, |tags| late(tags, VIDEO, 700)),
    edit("no-keyframe-at-first", 5.0, LATER, |mut tags| {
        let first = tags.iter().position(Tag::is_keyframe).unwrap();
        tags.remove(first);
        tags
    }),
    edit("sound-pauses", 6.0, WHOLE, |mut tags| {
        tags.retain(|tag| tag.is_video() || tag.is_config() || !(2_000..3_500).contains(&tag.time));
        tags
    }),
    edit("sound-stops", 6.0, WHOLE, |mut tags| {
        tags.retain(|tag| tag.is_video() || tag.time < 4_000);
        tags
    }),
    edit("configurations-again", 6.0, WHOLE, |tags| {
        let configs: Vec<Tag> = tags.iter().filter(|tag| tag.is_config()).cloned().collect();
        let again = |tag: Tag| {
            let before = if tag.is_keyframe() { configs.as_slice() } else { &[] };
            let before = before.iter().map(|config| Tag { time: tag.time, ..config.clone() });
            before.chain([tag.clone()]).collect::<Vec<_>>()
        };
        tags.into_iter().flat_map(again).collect()
    }),
    edit("sound-in-bursts", 6.0, WHOLE, |tags| {
        // All sound of a second behind its pictures, as muxers with large buffers send it.
        let second = |tag: &Tag| tag.time / 1_000;
        let mut tags = tags;
        tags.sort_by_key(|tag| (second(tag), !tag.is_config(), !tag.is_video()));
        tags
    }),
    edit("stamped-by-arrival", 6.0, Expected::uneven(180).sound(48_000, 2), |mut tags| {
        for (index, tag) in tags.iter_mut().filter(|tag| tag.is_video()).enumerate() {
            tag.time += [0, 9, 3, 21, 14][index % 5];
        }
        tags
    }),
];

/// Adds to the time of all tags from `from` on.
fn shifted(mut tags: Vec<Tag>, from: u32, by: u32) -> Vec<Tag> {
    for tag in tags.iter_mut().filter(|tag| tag.time >= from) {
        tag.time = tag.time.wrapping_add(by);
    }
    tags
}

/// Leaves out what one track has before `from`, and sends its configuration only then.
fn late(mut tags: Vec<Tag>, kind: u8, from: u32) -> Vec<Tag> {
    let at = tags.iter().position(|tag| tag.kind == kind && tag.is_config()).unwrap();
    let config = Tag { time: from, ..tags.remove(at) };
    tags.retain(|tag| tag.kind != kind || tag.time >= from);
    let first = tags.iter().position(|tag| tag.kind == kind).unwrap();
    tags.insert(first, config);
    tags
}
