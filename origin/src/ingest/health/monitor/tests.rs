use bytes::Bytes;
use nearcast_media::codec::{aac, avc};

use super::*;

/// A publisher in virtual time: 640x360 at 30 frames a second and stereo AAC, as regular as it says.
struct Stream {
    start: Instant,
    monitor: Monitor,
    turns: Vec<(u64, Change, &'static str, String)>,
    /// Frames between keyframes; bytes of a picture, of a sound.
    keyframe: i64,
    picture: usize,
    sound: usize,
    video: bool,
    audio: bool,
    /// Seconds of media in a second.
    pace: f64,
    /// Milliseconds that audio is ahead, by second.
    ahead: fn(f64) -> f64,
    /// Whether a picture is sent, and how many ticks late.
    sends: fn(i64) -> Option<i64>,
    next: (i64, i64),
    wall: f64,
}

impl Stream {
    fn new() -> Self {
        let start = Instant::now();
        let mut stream = Self {
            start,
            monitor: Monitor::new(Source { protocol: "rtmp", ..Source::default() }, start),
            turns: Vec::new(),
            keyframe: 60,
            picture: 2_500,
            sound: 300,
            video: true,
            audio: true,
            pace: 1.0,
            ahead: |_| 0.0,
            sends: |_| Some(0),
            next: (0, 0),
            wall: 0.0,
        };
        let record = Bytes::from_static(&[1, 0x64, 0, 0x1f]);
        stream.monitor.config(&Config::Avc(avc::Config {
            record,
            width: 640,
            height: 360,
            frame_rate: None,
        }));
        stream.monitor.config(&Config::Aac(aac::Config::parse(&[0x11, 0x90]).unwrap()));
        stream
    }

    /// Goes on for so long, with a look each second.
    fn run(&mut self, seconds: u32) -> &mut Self {
        for _ in 0..seconds * 100 {
            self.wall += 0.01;
            let (now, media) = (self.start + Duration::from_secs_f64(self.wall), self.wall * self.pace);
            while (self.next.0 as f64) / 30.0 <= media {
                let n = self.next.0;
                self.next.0 += 1;
                if let (true, Some(late)) = (self.video, (self.sends)(n)) {
                    let dts = n * 3_000 + late;
                    let data = Bytes::from(vec![0; self.picture]);
                    let frame = Frame { dts, pts: dts, keyframe: n % self.keyframe == 0, data };
                    self.monitor.frame(Track::Video, &frame, now);
                }
            }
            while self.next.1 as f64 * 1_024.0 / 48_000.0 <= media {
                let dts = self.next.1 * 1_920 + ((self.ahead)(self.wall) * 90.0) as i64;
                self.next.1 += 1;
                if self.audio {
                    let frame =
                        Frame { dts, pts: dts, keyframe: true, data: Bytes::from(vec![0; self.sound]) };
                    self.monitor.frame(Track::Audio, &frame, now);
                }
            }
            if ((self.wall * 100.0).round() as u64).is_multiple_of(100) {
                let second = self.wall.round() as u64;
                let turns = self.monitor.look(now, second * 1_000);
                self.turns.extend(turns.into_iter().map(|turn| (second, turn.change, turn.code, turn.text)));
            }
        }
        self
    }

    fn health(&mut self) -> Health {
        self.monitor.health(self.start + Duration::from_secs_f64(self.wall))
    }

    /// Codes that are raised now.
    fn raised(&mut self) -> Vec<String> {
        self.health().warnings.into_iter().map(|warning| warning.code).collect()
    }

    /// The text of the only warning.
    fn warned(&mut self, code: &str) -> String {
        let warnings = self.health().warnings;
        assert_eq!(warnings.iter().map(|w| w.code.as_str()).collect::<Vec<_>>(), [code], "{warnings:?}");
        warnings[0].text.clone()
    }
}

#[test]
fn a_good_stream_is_measured_and_not_warned() {
    let mut stream = Stream::new();
    let health = stream.run(120).health();
    assert_eq!(stream.turns, []);
    let (video, audio) = (health.video.unwrap(), health.audio.unwrap());
    assert_eq!((video.codec.as_str(), video.width, video.height), ("avc1.64001f", 640, 360));
    assert_eq!((video.bitrate.now, video.bitrate.mean), (600_000, 600_000));
    assert_eq!((video.frame_rate, video.keyframe_s, video.keyframe_frames), (30.0, 2.0, 60));
    assert_eq!((video.b_frames, video.missing_frames), (false, 0));
    assert!(video.jitter_ms < 0.01);
    assert_eq!((audio.codec.as_str(), audio.sample_rate, audio.channels), ("mp4a.40.2", 48_000, 2));
    assert!((112_000..=113_000).contains(&audio.bitrate.mean), "{:?}", audio.bitrate);
    assert!(
        (health.pace - 1.0).abs() < 0.01 && health.drift_ms.abs() < 30,
        "{} {}",
        health.pace,
        health.drift_ms
    );
    assert_eq!((health.connected_s, health.late_frames, health.jumps), (120, 0, 0));
}

#[test]
fn rare_keyframes_are_named_once_until_they_come_more_often() {
    let mut stream = Stream::new();
    stream.keyframe = 240;
    let text = stream.run(60).warned("keyframes_rare");
    assert_eq!(
        text,
        "keyframes every 8 s: viewers will join slowly; set the encoder's keyframe interval to 2 s"
    );
    stream.keyframe = 60;
    stream.run(60);
    assert_eq!(stream.raised(), Vec::<String>::new());
    let changes: Vec<_> = stream.turns.iter().map(|(_, change, code, _)| (*change, *code)).collect();
    assert!(
        changes.contains(&(Change::Raised, "keyframes_rare"))
            && changes.contains(&(Change::Cleared, "keyframes_rare"))
    );
    assert_eq!(changes.iter().filter(|(_, code)| *code == "keyframes_rare").count(), 2, "{:?}", stream.turns);
}

#[test]
fn no_keyframe_at_all_is_worse() {
    let mut stream = Stream::new();
    stream.keyframe = 1_000_000;
    stream.run(30);
    assert_eq!(
        stream.warned("keyframe_missing"),
        "no keyframe for 30 s: nobody can join; set the encoder's keyframe interval to 2 s"
    );
}

#[test]
fn a_line_that_is_too_slow_says_what_it_carries() {
    let mut stream = Stream::new();
    stream.pace = 0.6;
    let text = stream.run(30).warned("upload_slow");
    // 600 + 112.5 kb/s are sent, and 0.6 of it arrive.
    assert!(text.starts_with("your line carries 42") && text.contains("of the 71"), "{text}");
    assert!(stream.health().late_frames > 100);
    let mut stream = Stream::new();
    stream.pace = 2.0;
    assert!(stream.run(30).warned("upload_fast").starts_with("2 s of media come in each second"));
}

#[test]
fn audio_that_drifts_away_is_heard_of_before_people_hear_it() {
    let mut stream = Stream::new();
    stream.ahead = |second| second * 3.0;
    assert!(stream.run(60).raised().is_empty(), "180 ms are not much: {:?}", stream.turns);
    let text = stream.run(40).warned("drift");
    assert!(text.starts_with("the audio is 2") && text.contains("ms ahead of the video"), "{text}");
    assert!(stream.turns[0].0 >= 67, "{:?}", stream.turns);
}

#[test]
fn what_is_missing_is_named() {
    let mut stream = Stream::new();
    stream.sound = 10;
    assert!(stream.run(20).warned("audio_silent").contains("muted"));
    stream.sound = 300;
    stream.run(30);
    stream.audio = false;
    assert!(stream.run(10).warned("audio_stopped").contains("the audio stopped"));
    (stream.audio, stream.video) = (true, false);
    stream.run(30);
    assert!(stream.raised().contains(&"video_stopped".to_owned()));
    stream.audio = false;
    stream.run(12);
    assert!(stream.raised().contains(&"stalled".to_owned()));
}

#[test]
fn holes_and_judder_are_told_apart() {
    let mut stream = Stream::new();
    stream.sends = |n| (n % 10 != 5).then_some(0);
    let text = stream.run(20).warned("frames_missing");
    assert!(text.contains("of 300 frames were left out"), "{text}");
    let mut stream = Stream::new();
    stream.sends = |n| Some(if n % 2 == 0 { 0 } else { 900 });
    let text = stream.run(20).warned("frame_rate_uneven");
    assert!(text.starts_with("frames come every 33 ms, give or take 10 ms"), "{text}");
}

#[test]
fn a_bitrate_that_does_not_fit_the_picture_is_a_notice() {
    let mut stream = Stream::new();
    stream.picture = 300;
    let health = stream.run(30).health();
    assert_eq!((health.warnings[0].code.as_str(), health.warnings[0].notice), ("bitrate_low", true));
    assert_eq!(health.warnings[0].numbers["bitrate_bps"], 72_000.0);
    let mut stream = Stream::new();
    stream.picture = 20_000;
    assert_eq!(
        stream.run(30).warned("bitrate_high"),
        "4.8 Mb/s is much for 640x360 at 30 frames/s: many viewers cannot follow; 691 kb/s would do"
    );
    let mut stream = Stream::new();
    stream.run(40);
    stream.picture = 8_000;
    stream.run(25);
    assert!(
        stream.raised().contains(&"bitrate_unstable".to_owned())
            || stream.run(10).raised().contains(&"bitrate_unstable".to_owned()),
        "{:?}",
        stream.turns
    );
}

#[test]
fn jumps_are_forgiven_after_a_minute() {
    let mut stream = Stream::new();
    stream.run(5);
    let now = stream.start + Duration::from_secs(5);
    stream.monitor.put_right(2, now);
    stream.monitor.put_right(2, now);
    assert!(stream.run(10).warned("timestamps_jump").starts_with("timestamps jumped 2 times"));
    assert!(stream.run(80).raised().is_empty());
    assert_eq!(stream.health().jumps, 2);
}

#[test]
fn a_publisher_who_comes_back_keeps_its_counts_and_begins_its_measures_anew() {
    let mut stream = Stream::new();
    stream.sends = |n| (n % 10 != 5).then_some(0);
    stream.run(20);
    let before = stream.health();
    let now = stream.start + Duration::from_secs_f64(stream.wall);
    let source = Source { protocol: "srt", ipv6: true, ..Source::default() };
    stream.monitor = stream.monitor.succeed(source, now);
    stream.monitor.encoder("OBS\u{7} 31");
    let health = stream.health();
    assert_eq!((health.reconnects, health.connected_s), (1, 0));
    assert_eq!(
        (health.protocol.as_str(), health.family.as_str(), health.encoder.as_str()),
        ("srt", "ipv6", "OBS 31")
    );
    assert_eq!(health.video.unwrap().missing_frames, before.video.unwrap().missing_frames);
    assert_eq!(health.bitrate, Rate::default());
    let size = serde_json::to_string(&stream.run(20).health()).unwrap().len();
    assert!(size < 900, "{size} bytes of heartbeat");
}

#[test]
fn what_is_wrong_with_further_tracks_is_told_by_their_names() {
    let mut stream = Stream::new();
    let names = |names: &[&str]| names.iter().map(|name| name.parse().unwrap()).collect();
    stream.monitor.note(Notes { lacking: names(&["540p", "270p"]), astray: Vec::new() });
    let text = stream.run(30).warned("track_left_out");
    assert!(
        text.starts_with("the video track for 540p and 270p is left out: the broadcast began without"),
        "{text}"
    );
    stream.monitor.note(Notes { lacking: Vec::new(), astray: names(&["480p"]) });
    let text = stream.run(60).warned("keyframes_apart");
    assert!(
        text.starts_with("the keyframes of 480p are not where the source's are: its viewers get gaps"),
        "{text}"
    );
    // What they take of the line counts.
    let before = stream.health().bitrate.mean;
    stream.monitor.note(Notes::default());
    for _ in 0..60 {
        let now = stream.start + Duration::from_secs_f64(stream.wall);
        let data = Bytes::from(vec![0; 12_500]);
        let frame = Frame { dts: 0, pts: 0, keyframe: true, data };
        stream.monitor.further(2, &Piece::Frame(frame), now);
        stream.run(1);
    }
    let after = stream.health().bitrate.mean;
    assert!((90_000..110_000).contains(&(after - before)), "{before} {after}");
    assert_eq!(stream.raised(), Vec::<String>::new());
}
