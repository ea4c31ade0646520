//! The transcode child that makes sound, by itself: packets in, AAC out that sounds at the same time.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

#[path = "support/child.rs"]
mod child;

use std::io::{Read, Write};
use std::process::{Command, ExitStatus, Stdio};

use bytes::Bytes;
use nearcast_media::codec::aac;
use nearcast_media::frame::{CLOCK, Frame};
use nearcast_origin::transcode::wire::sound::{Rung, Start};
use nearcast_origin::transcode::wire::{Codec, Input, Reply, Request, Source};

/// A second of silence, a tenth of a second of a tone, and so on.
const TONE: &str = "0.5*sin(2*PI*1000*t)*gte(t,0.9)*gte(mod(t,1),0.9)";

/// Runs FFmpeg over `input` and returns what it writes.
fn ffmpeg(args: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child = Command::new("ffmpeg")
        .args(["-v", "error"])
        .args(args)
        .args(["-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut stdin, input) = (child.stdin.take().unwrap(), input.to_vec());
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let mut output = Vec::new();
    child.stdout.take().unwrap().read_to_end(&mut output).unwrap();
    writer.join().unwrap();
    assert!(child.wait().unwrap().success());
    output
}

/// `seconds` of the tone, encoded with `codec` into a file of the form `format`.
fn tone(rate: u32, seconds: u32, codec: &[&str], format: &str) -> Vec<u8> {
    let source = format!("aevalsrc=exprs='{TONE}|{TONE}':s={rate}:d={seconds}");
    let mut args = vec!["-f", "lavfi", "-i", &source];
    args.extend_from_slice(codec);
    args.extend_from_slice(&["-f", format]);
    ffmpeg(&args, b"")
}

/// The packets of an Ogg file with one stream (RFC 3533 §6), headers and all.
fn ogg_packets(mut file: &[u8]) -> Vec<Bytes> {
    let (mut packets, mut packet) = (Vec::new(), Vec::new());
    while !file.is_empty() {
        assert!(file.starts_with(b"OggS"));
        let lacing = &file[27..27 + usize::from(file[26])];
        let mut at = 27 + lacing.len();
        for length in lacing.iter().map(|length| usize::from(*length)) {
            packet.extend_from_slice(&file[at..at + length]);
            at += length;
            if length < 255 {
                packets.push(Bytes::from(std::mem::take(&mut packet)));
            }
        }
        file = &file[at..];
    }
    packets
}

/// The tone in Opus: its source, and frames of which the first is at `start`; and what its file sounds like, the first
/// sample later than that by what decoders skip.
fn opus(seconds: u32, start: i64) -> (Source, Vec<Frame>, Vec<i16>, i64) {
    let file = tone(48_000, seconds, &["-c:a", "libopus", "-b:a", "96k"], "ogg");
    let mut packets = ogg_packets(&file);
    let (head, data) = (packets[0].clone(), packets.split_off(2));
    let skipped = i64::from(u16::from_le_bytes([head[10], head[11]]));
    let frames = frames(data, start, |n| n * 1800);
    let sound = pcm(&["-f", "ogg"], &file, 48_000);
    (Source { codec: Codec::Opus, record: head }, frames, sound, start * 48 / 90 + skipped)
}

fn frames(data: Vec<Bytes>, start: i64, time: impl Fn(i64) -> i64) -> Vec<Frame> {
    let frame = |(n, data)| Frame { dts: start + time(n), pts: start + time(n), keyframe: true, data };
    (0..).zip(data).map(frame).collect()
}

/// The left channel of what a file sounds like.
fn pcm(form: &[&str], file: &[u8], rate: u32) -> Vec<i16> {
    let rate = rate.to_string();
    let mut args = form.to_vec();
    args.extend_from_slice(&["-i", "-", "-af", "pan=mono|c0=c0", "-ar", &rate, "-f", "s16le"]);
    let samples = ffmpeg(&args, file);
    samples.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect()
}

/// Where tones begin, in samples.
fn onsets(samples: &[i16]) -> Vec<i64> {
    let loud = |sample: &i16| sample.unsigned_abs() > 3_000;
    let mut onsets = Vec::new();
    let mut quiet_since = 0;
    for (at, sample) in samples.iter().enumerate() {
        if loud(sample) {
            if at - quiet_since > 4_000 {
                onsets.push(at as i64);
            }
            quiet_since = at;
        }
    }
    onsets
}

/// Frames of AAC-LC as a file that any decoder reads (ISO/IEC 13818-7 §6.2).
fn adts(frames: &[Frame], rate_index: u8, channels: u8) -> Vec<u8> {
    let mut file = Vec::new();
    for frame in frames {
        let length = (frame.data.len() + 7) as u16;
        let [high, low] = length.to_be_bytes();
        file.extend_from_slice(&[0xff, 0xf1, 0x40 | rate_index << 2, channels << 6 | high >> 3]);
        file.extend_from_slice(&[high << 5 | low >> 3, low << 5 | 0x1f, 0xfc]);
        file.extend_from_slice(&frame.data);
    }
    file
}

fn start(source: Source, rungs: &[(u32, Option<i64>)]) -> Start {
    let rungs = rungs.iter().map(|(bitrate, after)| Rung { bitrate: *bitrate, after: *after }).collect();
    Start { source, sample_rate: 48_000, channels: 2, rungs, memory_bytes: 1 << 28 }
}

/// Runs a child over the whole input and returns what it said.
fn transcode(start: Start, frames: &[Frame]) -> (Vec<Reply>, ExitStatus, String) {
    let inputs = frames.iter().map(|f| Request::Frame(Input { frame: f.clone(), cut: true, behind: 0 }));
    let requests: Vec<_> = [Request::Sound(start)].into_iter().chain(inputs).chain([Request::End]).collect();
    child::run(&requests)
}

/// The frames that were made of rung number `rung`, after its one configuration.
fn made(replies: &[Reply], rung: u8, rate: u32) -> Vec<Frame> {
    let mut configs = 0;
    let mut frames = Vec::new();
    for reply in replies {
        match reply {
            Reply::Config { rung: r, record } if *r == rung => {
                let config = aac::Config::parse(record).unwrap();
                assert_eq!((config.sample_rate, config.channels, config.object_type), (rate, 2, 2));
                configs += 1;
            }
            Reply::Frame { rung: r, frame } if *r == rung => frames.push(frame.clone()),
            _ => {}
        }
    }
    assert_eq!(configs, 1);
    frames
}

/// Tones of the frames, in samples of the broadcast's time.
fn heard(frames: &[Frame], rate: u32) -> Vec<i64> {
    let index = if rate == 48_000 { 3 } else { 4 };
    let from = frames[0].pts * i64::from(rate) / CLOCK;
    onsets(&pcm(&["-f", "aac"], &adts(frames, index, 2), rate)).into_iter().map(|at| at + from).collect()
}

fn together(made: &[i64], source: &[i64], tolerance: i64) {
    assert!(made.len() >= 3 && made.len() == source.len(), "{made:?} of {source:?}");
    let near = made.iter().zip(source).all(|(made, source)| (made - source).abs() <= tolerance);
    assert!(near, "{made:?} of {source:?}");
}

/// A millisecond at 48 kHz.
const MILLISECOND: i64 = 48;

#[test]
fn opus_becomes_aac_that_sounds_at_the_same_time() {
    // 1234 ticks are no frame's beginning.
    let (source, frames, sound, from) = opus(4, 1_234);
    let (replies, status, complaint) = transcode(start(source, &[(128_000, None), (64_000, None)]), &frames);
    assert!(status.success() && complaint.is_empty(), "{status} {complaint}");
    let expected: Vec<i64> = onsets(&sound).into_iter().map(|at| at + from).collect();
    let size = |frames: &[Frame]| frames.iter().map(|frame| frame.data.len()).sum::<usize>();
    let (best, lower) = (made(&replies, 0, 48_000), made(&replies, 1, 48_000));
    for frames in [&best, &lower] {
        assert!(frames.windows(2).all(|pair| pair[1].pts - pair[0].pts == 1920));
        assert!(frames[0].pts % 1920 == 0 && frames[0].pts - 1_234 < 1920, "on the grid");
        assert!((186..=189).contains(&frames.len()), "{} frames of 4 s", frames.len());
        together(&heard(frames, 48_000), &expected, MILLISECOND);
    }
    assert!(size(&best) > size(&lower));
}

#[test]
fn a_child_goes_on_with_the_frame_after_the_last_that_another_made() {
    let (source, frames, sound, from) = opus(4, 0);
    let whole = transcode(start(source.clone(), &[(128_000, None)]), &frames[..110]);
    let mut first = made(&whole.0, 0, 48_000);
    // It dies in the middle of a tone, and the next one is given what came in the last second.
    first.retain(|frame| frame.pts < 2 * CLOCK - CLOCK / 20);
    let after = first.last().map(|frame| frame.pts);
    let (replies, status, complaint) = transcode(start(source, &[(128_000, after)]), &frames[50..]);
    assert!(status.success() && complaint.is_empty(), "{status} {complaint}");
    let second = made(&replies, 0, 48_000);
    assert_eq!(second[0].pts, after.unwrap() + 1920);
    first.extend(second);
    assert!(first.windows(2).all(|pair| pair[1].pts - pair[0].pts == 1920));
    let expected: Vec<i64> = onsets(&sound).into_iter().map(|at| at + from).collect();
    together(&heard(&first, 48_000), &expected, MILLISECOND);
}

#[test]
fn other_rates_are_resampled_without_drift() {
    // Ten seconds at 44.1 kHz, in AAC, whose decoders give each frame's samples at its time.
    let file = tone(44_100, 10, &["-c:a", "aac", "-b:a", "128k"], "adts");
    let mut data = Vec::new();
    let mut rest = &file[..];
    while !rest.is_empty() {
        let length = usize::from(rest[3] & 3) << 11 | usize::from(rest[4]) << 3 | usize::from(rest[5]) >> 5;
        data.push(Bytes::copy_from_slice(&rest[7..length]));
        rest = &rest[length..];
    }
    // Whole milliseconds, as RTMP has them.
    let frames = frames(data, 0, |n| n * 1024 * 1000 / 44_100 * 90);
    let source = Source { codec: Codec::Aac, record: Bytes::from_static(&[0x12, 0x10]) };
    let sound = onsets(&pcm(&["-f", "aac"], &file, 44_100));
    for rate in [44_100, 48_000] {
        let start = Start { sample_rate: rate, ..start(source.clone(), &[(64_000, None)]) };
        let (replies, status, complaint) = transcode(start, &frames);
        assert!(status.success() && complaint.is_empty(), "{status} {complaint}");
        let made = made(&replies, 0, rate);
        let steps = made.windows(2).map(|pair| pair[1].pts - pair[0].pts);
        assert!(steps.max().unwrap() - 1024 * CLOCK / i64::from(rate) <= 1, "no hole");
        let expected: Vec<i64> = sound.iter().map(|at| at * i64::from(rate) / 44_100).collect();
        together(&heard(&made, rate), &expected, 2 * MILLISECOND);
    }
}

#[test]
fn sound_that_stops_and_goes_on_keeps_its_time() {
    let file = tone(48_000, 4, &["-c:a", "libopus"], "ogg");
    let packets = ogg_packets(&file);
    let all = frames(packets[2..].to_vec(), 0, |n| n * 1800);
    // Half a second is missing, and two seconds are lost later on.
    let missing = |frame: &Frame| (CLOCK * 6 / 5..CLOCK * 17 / 10).contains(&frame.pts);
    let mut kept: Vec<Frame> = all.iter().filter(|frame| !missing(frame)).cloned().collect();
    for frame in kept.iter_mut().filter(|frame| frame.pts >= 3 * CLOCK) {
        (frame.pts, frame.dts) = (frame.pts + 2 * CLOCK, frame.dts + 2 * CLOCK);
    }
    let source = Source { codec: Codec::Opus, record: packets[0].clone() };
    let (replies, status, complaint) = transcode(start(source, &[(96_000, None)]), &kept);
    assert!(status.success() && complaint.is_empty(), "{status} {complaint}");
    let made = made(&replies, 0, 48_000);
    let holes: Vec<_> = made.windows(2).filter(|pair| pair[1].pts - pair[0].pts != 1920).collect();
    assert_eq!(holes.len(), 1, "the short one is filled");
    assert!(holes[0][0].pts < 3 * CLOCK && holes[0][1].pts >= 5 * CLOCK);
    let begins = holes[0][1].pts;
    let (before, after): (Vec<_>, Vec<_>) = made.into_iter().partition(|frame| frame.pts < begins);
    // The first packet begins with what decoders skip.
    let skipped = i64::from(u16::from_le_bytes([packets[0][10], packets[0][11]]));
    let near = |heard: Vec<i64>, seconds: &[f64]| {
        let expected: Vec<i64> = seconds.iter().map(|second| (second * 48_000.0) as i64 + skipped).collect();
        let close =
            heard.iter().zip(&expected).all(|(heard, expected)| (heard - expected).abs() <= MILLISECOND);
        assert!(heard.len() == expected.len() && close, "{heard:?} of {expected:?}");
    };
    near(heard(&before, 48_000), &[0.9, 1.9, 2.9]);
    near(heard(&after, 48_000), &[5.9]);
}

#[test]
fn what_is_no_sound_ends_the_child_with_a_sentence() {
    let (source, mut frames, _, _) = opus(2, 0);
    for frame in &mut frames {
        frame.data = Bytes::from_static(&[0xff, 0xff, 0xff]);
    }
    let (replies, status, complaint) = transcode(start(source, &[(96_000, None)]), &frames);
    assert!(replies.iter().any(|reply| matches!(reply, Reply::Damaged { .. })), "{replies:?}");
    assert_eq!(status.code(), Some(1));
    assert!(complaint.contains("source frames in a row cannot be decoded"), "{complaint}");
}
