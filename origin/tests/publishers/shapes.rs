//! Whatever shape a stream has, viewers get all of it: every frame, on time, decodable, by the rules.

mod edits;
pub(crate) mod outcome;

use std::process::{Child, Command, Stdio};
use std::thread;

use crate::sender::{Sender, Tag};
use crate::support::{Origin, complaint};
use edits::EDITS;
use outcome::{Expected, Outcome};

/// What FFmpeg publishes, and what is to come of it.
struct Shape {
    name: &'static str,
    /// Frames per second of the picture, as FFmpeg writes it.
    rate: &'static str,
    seconds: u32,
    /// More words for FFmpeg.
    words: &'static str,
    expected: Expected,
}

/// A picture and a sound, with other words for FFmpeg where that is the point.
const fn shape(
    name: &'static str,
    rate: &'static str,
    seconds: u32,
    words: &'static str,
    expected: Expected,
) -> Shape {
    Shape { name, rate, seconds, words, expected }
}

const SHAPES: &[Shape] = &[
    shape("b-frames", "25", 5, "-preset veryfast -bf 3 -b_strategy 0 -g 50", Expected::video(125, 25.0)),
    shape("film", "24000/1001", 5, "-g 48", Expected::video(120, 23.976)),
    shape("pal", "25", 5, "-g 50", Expected::video(125, 25.0)),
    shape("ntsc", "30000/1001", 5, "-g 60", Expected::video(150, 29.970)),
    shape("thirty", "30", 5, "-g 60", Expected::video(150, 30.0)),
    shape("fifty", "50", 5, "-g 100", Expected::video(250, 50.0)),
    shape("sixty", "60", 5, "-g 120", Expected::video(300, 60.0)),
    shape("slides", "4", 9, "-g 8", Expected::video(36, 4.0)),
    // Every second half second has a fifth of its frames.
    shape(
        "variable",
        "30",
        6,
        "-vf select='lt(mod(t,1),0.5)+not(mod(n,5))' -vsync vfr -g 36",
        Expected::uneven(108),
    ),
    shape("mono-44", "30", 4, "-g 60 -ac 1 -ar 44100", Expected::video(120, 30.0).sound(44_100, 1)),
    shape("stereo-44", "30", 4, "-g 60 -ac 2 -ar 44100", Expected::video(120, 30.0).sound(44_100, 2)),
    shape("mono-48", "30", 4, "-g 60 -ac 1 -ar 48000", Expected::video(120, 30.0).sound(48_000, 1)),
    shape("mono-22", "30", 4, "-g 60 -ac 1 -ar 22050", Expected::video(120, 30.0).sound(22_050, 1)),
    shape("audio-only", "30", 6, "-vn", Expected::audio_only()),
    shape("video-only", "30", 4, "-g 60 -an", Expected::video(120, 30.0).silent()),
    shape("no-metadata", "30", 4, "-g 60 -flvflags no_metadata", Expected::video(120, 30.0)),
    shape("rare-keyframes", "30", 20, "-g 240", Expected::video(600, 30.0)),
    shape("one-keyframe", "30", 14, "-g 9999", Expected::video(420, 30.0)),
    shape("slices", "30", 4, "-g 60 -x264-params slices=4:aud=1", Expected::video(120, 30.0)),
    shape("intra-refresh", "30", 8, "-g 60 -x264-params intra-refresh=1", Expected::video(240, 30.0)),
    shape(
        "open-gop",
        "25",
        6,
        "-preset veryfast -bf 2 -x264-params open-gop=1 -g 50",
        Expected::video(150, 25.0),
    ),
];

#[test]
fn every_shape_of_stream_comes_out_whole() {
    let names: Vec<&str> = SHAPES.iter().map(|shape| shape.name).collect();
    let origin = Origin::start_with(CONFIG, &names);
    for shape in SHAPES.chunks(AT_ONCE) {
        let publishers: Vec<Child> = shape.iter().map(|shape| shape.publish(&origin.rtmp)).collect();
        for (publisher, shape) in publishers.into_iter().zip(shape) {
            assert_eq!(complaint(publisher), "", "{}", shape.name);
        }
    }
    let outcomes = Outcome::of(&origin, SHAPES.len());
    let wrong = SHAPES.iter().flat_map(|shape| {
        let seconds = f64::from(shape.seconds);
        outcomes
            .iter()
            .filter(|outcome| outcome.channel == shape.name)
            .flat_map(move |outcome| shape.expected.compare(outcome, seconds))
    });
    let wrong: Vec<String> = wrong.collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn clocks_that_jump_and_tracks_that_are_late_lose_nothing() {
    let names: Vec<&str> = EDITS.iter().map(|edit| edit.name).collect();
    let origin = Origin::start_with(CONFIG, &names);
    let file = origin.directory.path().join("plain.flv");
    let words = "-g 30 -keyint_min 30 -sc_threshold 0 -ac 2 -ar 48000";
    assert_eq!(complaint(ffmpeg("30", 6, words, &file.to_string_lossy())), "");
    let tags = Tag::read(&file);
    thread::scope(|scope| {
        for edit in EDITS {
            let (tags, rtmp) = (&tags, &origin.rtmp);
            scope.spawn(move || {
                let mut sender = Sender::publish(rtmp, edit.name);
                sender.send(&(edit.change)(tags.clone()));
                sender.unpublish();
            });
        }
    });
    let outcomes = Outcome::of(&origin, EDITS.len());
    let wrong = EDITS.iter().flat_map(|edit| {
        let of_channel = outcomes.iter().filter(|outcome| outcome.channel == edit.name);
        of_channel.flat_map(|outcome| edit.expected.compare(outcome, edit.seconds))
    });
    let wrong: Vec<String> = wrong.collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

impl Shape {
    fn publish(&self, rtmp: &str) -> Child {
        ffmpeg(self.rate, self.seconds, self.words, &format!("rtmp://{rtmp}/live/{}", self.name))
    }
}

/// FFmpeg sending a small picture and a tone as fast as it can.
pub(crate) fn ffmpeg(rate: &str, seconds: u32, words: &str, to: &str) -> Child {
    run(&[], rate, seconds, words, to)
}

/// The same as a camera does.
pub(crate) fn ffmpeg_in_real_time(rate: &str, seconds: u32, words: &str, to: &str) -> Child {
    run(&["-re"], rate, seconds, words, to)
}

fn run(pace: &[&str], rate: &str, seconds: u32, words: &str, to: &str) -> Child {
    Command::new("ffmpeg")
        .args(["-v", "error"])
        .args(pace)
        .args(["-f", "lavfi", "-i", &format!("testsrc2=size=320x180:rate={rate}")])
        .args(["-f", "lavfi", "-i", "sine=sample_rate=48000", "-t", &seconds.to_string()])
        .args(["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac"])
        .args(["-flvflags", "no_duration_filesize"])
        .args(words.split(' '))
        .args(["-f", "flv", to])
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// No ladder, and a playlist that keeps all of it.
pub(crate) const CONFIG: &str = "[transcode]\nenabled = false\n[package]\nwindow = 120.0\nlinger = 600\n";
/// Encoders beside each other; more would only wait for the processor.
const AT_ONCE: usize = 7;
