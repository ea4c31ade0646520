use bytes::Bytes;
use nearcast_media::codec::{aac, avc};

use super::*;

fn picture(width: u32, height: u32) -> Event {
    let record = Bytes::from_static(&[1]);
    Event::Config(TrackConfig::Avc(avc::Config { record, width, height, frame_rate: None }))
}

fn frame(track: Track, dts: i64, bytes: usize, keyframe: bool) -> Event {
    Event::Frame(track, Frame { dts, pts: dts, keyframe, data: Bytes::from(vec![0; bytes]) })
}

fn guard(limits: Bounds) -> Guard {
    Guard::new(limits, Instant::now())
}

/// Publishes at `rate` bits per second, in reads of 16 KiB as fast as the guard lets it, until it is refused.
/// Answers after how many seconds and bytes, and why.
fn publish(limits: Bounds, rate: f64, seconds: f64) -> Result<(), (f64, usize, Breach)> {
    let start = Instant::now();
    let (mut guard, mut taken, mut now) = (Guard::new(limits, start), 0, 0.0);
    while now < seconds {
        // What has been sent and waits, as it does in the kernel's buffers.
        let (at, bytes) = (start + Duration::from_secs_f64(now), 16 << 10);
        let dts = ((taken as f64 * 8.0 / rate) * CLOCK as f64) as i64;
        let pause =
            guard.observe(&frame(Track::Audio, dts, bytes, true)).and_then(|()| guard.received(bytes, at));
        taken += bytes;
        match pause {
            Ok(pause) => now = (now + pause.as_secs_f64()).max(taken as f64 * 8.0 / rate),
            Err(breach) => return Err((now, taken, breach)),
        }
    }
    Ok(())
}

#[test]
fn three_times_the_bitrate_is_refused_in_time_and_read_slowly_until_then() {
    let limits = Bounds { bitrate: 1_000_000, ..Bounds::default() };
    for (times, within) in [(3.0, 12.0), (100.0, 8.0), (1.2, 90.0)] {
        let (after, bytes, breach) = publish(limits, times * 1e6, 120.0).unwrap_err();
        assert!(after < within, "{times}: after {after} s");
        // Ten seconds at once, and twice the limit from then on.
        assert!(
            bytes as f64 <= 1e6 / 8.0 * (BURST + 2.0 * after) + 65_536.0,
            "{times}: {bytes} bytes in {after} s"
        );
        assert_eq!(breach.reason, "bitrate");
    }
    let breach = publish(limits, 3e6, 60.0).unwrap_err().2.to_string();
    assert_eq!(
        breach,
        "bitrate limit: you send 3 Mb/s, this channel takes 1 Mb/s: set audio and video together to at most 950 kb/s"
    );
}

#[test]
fn what_the_limit_allows_is_never_held_up() {
    let limits = Bounds { bitrate: 1_000_000, ..Bounds::default() };
    let start = Instant::now();
    let mut guard = Guard::new(limits, start);
    for second in 0..600 {
        // Everything of a second at once, a tenth of it above the limit now and then.
        let bytes = if second % 10 == 0 { 150_000 } else { 120_000 };
        assert_eq!(
            guard.received(bytes, start + Duration::from_secs(second)),
            Ok(Duration::ZERO),
            "{second}"
        );
    }
    assert!(publish(limits, 0.9e6, 60.0).is_ok());
    assert!(publish(Bounds { bitrate: 0, ..limits }, 500e6, 1.0).is_ok());
}

#[test]
fn a_picture_may_stand_upright_but_not_be_larger() {
    let limits = Bounds { width: 1_280, height: 720, ..Bounds::default() };
    for (width, height) in [(1_280, 720), (720, 1_280), (16, 16)] {
        assert_eq!(guard(limits).observe(&picture(width, height)), Ok(()));
    }
    for (width, height) in [(1_282, 720), (1_280, 722), (1_000, 1_000)] {
        let breach = guard(limits).observe(&picture(width, height)).unwrap_err();
        assert_eq!(breach.reason, "resolution");
        assert!(
            breach.to_string().contains(&format!("you send {width}x{height}, this channel takes 1280x720"))
        );
    }
    let any = Bounds { width: 0, height: 0, ..limits };
    assert_eq!(guard(any).observe(&picture(16_000, 16_000)), Ok(()));
}

#[test]
fn frames_and_keyframes_are_counted_by_the_streams_own_clock() {
    let limits = Bounds { frame_rate: 30, keyframe_interval: 4, ..Bounds::default() };
    let run = |rate: i64, keyframe: i64| {
        let mut guard = guard(limits);
        (0..rate * 10).try_for_each(|n| {
            guard.observe(&frame(Track::Video, n * CLOCK / rate, 10, n % (rate * keyframe) == 0))
        })
    };
    assert_eq!(run(30, 4), Ok(()));
    let breach = run(60, 2).unwrap_err();
    assert_eq!(
        (breach.reason, breach.to_string().contains("you send 60 frames/s")),
        ("frame_rate", true),
        "{breach}"
    );
    let breach = run(30, 8).unwrap_err();
    assert_eq!(breach.reason, "keyframe_interval");
    assert!(
        breach.to_string().contains("this channel takes 4 s: set the encoder's keyframe interval to 2 s")
    );
}

#[test]
fn audio_has_limits_too() {
    let aac = |channels, sample_rate| {
        let specific = Bytes::from_static(&[0x12, 0x10]);
        Event::Config(TrackConfig::Aac(aac::Config { specific, sample_rate, channels, object_type: 2 }))
    };
    let limits = Bounds { audio_channels: 2, sample_rate: 48_000, ..Bounds::default() };
    assert_eq!(guard(limits).observe(&aac(2, 44_100)), Ok(()));
    assert_eq!(guard(limits).observe(&aac(6, 48_000)).unwrap_err().reason, "audio_channels");
    assert_eq!(guard(limits).observe(&aac(2, 96_000)).unwrap_err().reason, "sample_rate");
}

#[test]
fn a_channel_has_its_own_limits_where_it_says_so() {
    let own = ingest::Limits { bitrate: Some(5), width: Some(0), ..ingest::Limits::default() };
    let limits = Bounds::default().with(&own);
    assert_eq!(limits, Bounds { bitrate: 5, width: 0, ..Bounds::default() });
    assert!(limits.check().unwrap_err().contains("`limits.bitrate`"));
    assert_eq!(Bounds::default().check(), Ok(()));
}
