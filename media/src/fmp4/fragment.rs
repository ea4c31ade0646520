//! One part as a movie fragment: `moof` and `mdat` (CMAF chunk, ISO/IEC 23000-19 §7.3.2.3).

use bytes::{BufMut, Bytes, BytesMut};

use super::boxes::{write, write_full};
use super::emsg::{EventMessage, event_message};
use super::{Sample, TRACK_ID};

/// The fragment as one piece of memory, for a part is made once and then sent many times. `events` come first, on
/// the track's `timescale`.
///
/// `samples` are in decoding order with their durations in ticks; `sequence` grows from fragment to fragment
/// of a rendition. A decoding time before zero cannot be written and becomes zero.
pub fn fragment(sequence: u32, samples: &[(Sample, u32)], events: &[EventMessage], timescale: u32) -> Bytes {
    let media: usize = samples.iter().map(|(sample, _)| sample.data.len()).sum();
    let mut out = BytesMut::with_capacity(128 + 16 * samples.len() + media);
    events.iter().for_each(|event| event_message(&mut out, timescale, event));
    let moof_at = out.len();
    let mut data_offset_at = 0;
    write(&mut out, b"moof", |out| {
        write_full(out, b"mfhd", 0, 0, |out| out.put_u32(sequence));
        write(out, b"traf", |out| data_offset_at = track_fragment(out, samples));
    });
    let data_offset = i32::try_from(out.len() - moof_at + 8).unwrap_or(i32::MAX);
    out[data_offset_at..data_offset_at + 4].copy_from_slice(&data_offset.to_be_bytes());
    write(&mut out, b"mdat", |out| samples.iter().for_each(|(sample, _)| out.put_slice(&sample.data)));
    out.freeze()
}

/// Returns where the data offset must be filled in. What all samples share is said once, in `tfhd`.
fn track_fragment(out: &mut BytesMut, samples: &[(Sample, u32)]) -> usize {
    let duration = shared(samples.iter().map(|(_, duration)| *duration));
    let flags = shared(samples.iter().map(|(sample, _)| sample_flags(sample)));
    let composed = samples.iter().any(|(sample, _)| sample.composition_offset != 0);

    let present = |field: bool, flag: u32| if field { flag } else { 0 };
    let header = DEFAULT_BASE_IS_MOOF | present(duration.is_some(), 0x08) | present(flags.is_some(), 0x20);
    write_full(out, b"tfhd", 0, header, |out| {
        out.put_u32(TRACK_ID);
        [duration, flags].into_iter().flatten().for_each(|value| out.put_u32(value));
    });
    let base = samples.first().map_or(0, |(sample, _)| sample.dts);
    write_full(out, b"tfdt", 1, 0, |out| out.put_u64(u64::try_from(base).unwrap_or(0)));

    let run = DATA_OFFSET
        | SAMPLE_SIZE
        | present(duration.is_none(), 0x100)
        | present(flags.is_none(), 0x400)
        | present(composed, 0x800);
    let mut data_offset_at = 0;
    // Version 1: composition offsets are signed.
    write_full(out, b"trun", 1, run, |out| {
        out.put_u32(u32::try_from(samples.len()).unwrap_or(u32::MAX));
        data_offset_at = out.len();
        out.put_i32(0);
        for (sample, own_duration) in samples {
            if duration.is_none() {
                out.put_u32(*own_duration);
            }
            out.put_u32(u32::try_from(sample.data.len()).unwrap_or(u32::MAX));
            if flags.is_none() {
                out.put_u32(sample_flags(sample));
            }
            if composed {
                out.put_i32(sample.composition_offset);
            }
        }
    });
    data_offset_at
}

/// The value that all have.
fn shared(mut values: impl Iterator<Item = u32>) -> Option<u32> {
    let first = values.next()?;
    values.all(|value| value == first).then_some(first)
}

/// §8.8.3.1: whether it depends on others and is a sync sample.
fn sample_flags(sample: &Sample) -> u32 {
    if sample.keyframe { 0x0200_0000 } else { 0x0101_0000 }
}

const DEFAULT_BASE_IS_MOOF: u32 = 0x02_0000;
const DATA_OFFSET: u32 = 0x001;
const SAMPLE_SIZE: u32 = 0x200;
