//! Audio whose frames do not have AAC's 1024 samples.

use super::world::{self, CAMERA, World, video};
use super::*;
use crate::codec::{flac, opus};

/// Opus packets of 2.5, 10, 20, 40 and 60 ms: the first byte says so.
const OPUS: [(u8, i64); 5] = [(0xe0, 120), (0xf0, 480), (0xf8, 960), (0x10, 1_920), (0x18, 2_880)];

fn opus() -> Config {
    Config::Opus(opus::Config::parse(b"OpusHead\x01\x02\x38\x01\x80\xbb\0\0\0\0\0").unwrap())
}

fn flac(rate: u32, block: u16) -> Config {
    let [a, b] = block.to_be_bytes();
    let [_, c, d, e] = (rate << 4 | 1 << 1).to_be_bytes();
    let mut info = vec![a, b, a, b, 0, 0, 0, 0, 0, 0, c, d, e, 0xf0];
    info.resize(34, 0);
    Config::Flac(flac::Config::parse(&info).unwrap())
}

/// Two minutes of pictures and of sound in frames of `samples`, but for those that `missing` says, by index.
fn follow(config: Config, data: &[u8], samples: i64, missing: impl Fn(i64) -> bool) -> World {
    let rate = i64::from(config.sound().unwrap().sample_rate);
    let mut world = World::new(video("source", 720), CAMERA.interval());
    let spec = Spec {
        name: "audio".into(),
        config,
        bandwidth: None,
        max_frame_rate: None,
        listed_from_start: false,
        own: false,
    };
    world.broadcast.add_rendition(spec).unwrap();
    let mut next = 0;
    for index in 0..30 * 40 {
        let frame = CAMERA.frame(index);
        loop {
            // Millisecond clocks, as RTMP has them.
            let time = next * samples * 1000 / rate * 90;
            if time > frame.dts {
                break;
            }
            if !missing(next) {
                let data = Bytes::copy_from_slice(data);
                world.push("audio", Frame { dts: time, pts: time, keyframe: true, data });
            }
            next += 1;
        }
        world.push("source", frame);
    }
    // A segment of sound begins with the first frame that does.
    let frame = Duration::from_millis(u64::try_from(samples * 1000 / rate).unwrap());
    world.checker.aligned(CAMERA.interval() + frame.max(Duration::from_millis(50)));
    world
}

/// How much sound is in the playlist less how much of it there should be, in the segments that are whole.
fn off(world: &World) -> f64 {
    let segments = &world.checker.last("audio").segments;
    let length: f64 = segments.iter().map(|segment| segment.duration.as_secs_f64()).sum();
    length - 2.0 * segments.len() as f64
}

#[test]
fn opus_of_every_length_keeps_the_rules() {
    for (head, samples) in OPUS {
        let mut world = follow(opus(), &[head, 1, 2], samples, |_| false);
        assert!(off(&world).abs() < 0.07, "{samples}: {}", off(&world));
        let playlist = world.broadcast.multivariant().unwrap();
        assert_eq!(playlist.variants[0].codecs.as_deref(), Some("avc1.64001f,Opus"));
        world.end();
    }
}

#[test]
fn flac_blocks_are_frames() {
    for (rate, block, head) in [(48_000, 1_152, 0x30), (44_100, 4_096, 0xc0), (96_000, 4_608, 0x50)] {
        let frame = [0xff, 0xf8, head, 0x18, 0x00, 0x00];
        let mut world = follow(flac(rate, block), &frame, i64::from(block), |_| false);
        assert!(off(&world).abs() < 0.1, "{rate} {block}: {}", off(&world));
        let playlist = world.broadcast.multivariant().unwrap();
        assert_eq!(playlist.variants[0].codecs.as_deref(), Some("avc1.64001f,fLaC"));
        world.end();
    }
}

#[test]
fn holes_are_filled_with_each_codecs_silence() {
    let mut world = follow(opus(), &[0x18, 1, 2], 2_880, |index| index % 100 == 50 || index > 500);
    assert!(off(&world).abs() < 0.07, "{}", off(&world));
    world.end();
    let silent = |world: &World, data: &[u8]| {
        let msn = world.checker.last("audio").end() - 2;
        let parts = check::in_memory(world.broadcast.segment("audio", msn)).unwrap();
        parts.iter().any(|part| part.windows(data.len()).any(|window| window == data))
    };
    assert!(silent(&world, &[0xfc, 0xff, 0xfe]));
    let frame = [0xff, 0xf8, 0x30, 0x18, 0x00, 0x00];
    let world = follow(flac(48_000, 1_152), &frame, 1_152, |index| index % 100 > 90 || index > 1_000);
    assert!(off(&world).abs() < 0.07, "{}", off(&world));
    assert!(silent(&world, &[0xff, 0xf8, 0x70, 0x10, 0x00, 0x03, 0xbf]));
}

#[test]
fn opus_alone_leads_itself() {
    for (head, samples) in OPUS {
        let interval = Duration::from_millis(samples.unsigned_abs() / 48 + 1);
        let spec = Spec {
            name: "audio".into(),
            config: opus(),
            bandwidth: None,
            max_frame_rate: None,
            listed_from_start: true,
            own: false,
        };
        let mut world = World::new(spec, interval);
        for index in 0..30 * 48_000 / samples {
            let time = index * samples / 48 * 90;
            world.push(
                "audio",
                Frame { dts: time, pts: time, keyframe: true, data: Bytes::copy_from_slice(&[head, 7]) },
            );
        }
        world.end();
        assert!(world.checker.last("audio").end() >= 14);
        assert!(
            world
                .checker
                .last("audio")
                .segments
                .iter()
                .all(|segment| segment.duration < Duration::from_millis(2_100))
        );
    }
}

/// A world of a source with `audio`, whose rungs and sounds are all there.
fn listed(audio: Config, sounds: &[&str], audio_only: bool) -> multivariant::Playlist {
    let spec = |name: &str, config: Config, bandwidth, max_frame_rate| Spec {
        name: name.into(),
        config,
        bandwidth,
        max_frame_rate,
        listed_from_start: true,
        own: false,
    };
    let settings = Settings { audio_only, ..settings() };
    let mut broadcast = Broadcast::new("b1", STARTED_AT, settings, video("source", 720));
    broadcast.add_rendition(spec("audio", audio, None, None)).unwrap();
    for (height, most) in [(240, Some(15)), (480, None)] {
        let name = format!("{height}p");
        broadcast.add_rendition(spec(&name, video(&name, height).config, Some(500_000), most)).unwrap();
    }
    let aac = world::audio(48_000).config;
    for (index, name) in sounds.iter().enumerate() {
        let bandwidth = Some(128_000 >> index);
        broadcast.add_rendition(spec(name, aac.clone(), bandwidth, None)).unwrap();
    }
    (0..180).for_each(|index| drop(broadcast.push("source", CAMERA.frame(index)).unwrap()));
    let list = broadcast.multivariant().unwrap();
    assert_eq!(crate::hls::parse::multivariant(&list.render()), Ok(list.clone()));
    list
}

/// Each variant's rendition, its codec of sound and its group.
fn variants(list: &multivariant::Playlist) -> Vec<(&str, &str, &str)> {
    list.variants
        .iter()
        .map(|variant| {
            let codecs = variant.codecs.as_deref().unwrap();
            let codec = codecs.rsplit(',').next().unwrap();
            (variant.uri.split('/').nth(1).unwrap(), codec, variant.audio.as_deref().unwrap())
        })
        .collect()
}

#[test]
fn every_video_is_listed_with_every_codec_of_audio() {
    let (opus_is, aac_is) = ("Opus", "mp4a.40.2");
    let list = listed(opus(), &["audio-aac", "audio-64k"], false);
    let expected = [
        ("source", opus_is, "audio"),
        ("source", aac_is, "audio-aac"),
        ("480p", opus_is, "audio"),
        ("480p", aac_is, "audio-aac"),
        ("240p", opus_is, "audio"),
        ("240p", aac_is, "audio-64k"),
    ];
    assert_eq!(variants(&list), expected);
    let groups: Vec<_> =
        list.audio.iter().map(|audio| (audio.group.as_str(), audio.uri.as_deref().unwrap())).collect();
    let uris = ["b1/audio/media.m3u8", "b1/audio-aac/media.m3u8", "b1/audio-64k/media.m3u8"];
    assert_eq!(groups, [("audio", uris[0]), ("audio-aac", uris[1]), ("audio-64k", uris[2])]);
    assert!(list.audio.iter().all(|audio| audio.default && audio.name == list.audio[0].name));
    assert_eq!(list.i_frames.len(), 1, "the rungs have no keyframe yet");
    let rates: Vec<_> = list.variants.iter().map(|variant| variant.frame_rate).collect();
    assert_eq!(rates[..4], [Some(30_000); 4]);
    assert_eq!(rates[4..], [Some(15_000); 2], "what a rung may have at most");
}

#[test]
fn audio_alone_is_a_variant_where_it_is_asked_for() {
    let aac = audio(48_000).config;
    let list = listed(aac.clone(), &[], false);
    assert_eq!(variants(&list).len(), 3);
    let list = listed(aac.clone(), &[], true);
    assert_eq!(variants(&list).last(), Some(&("audio", "mp4a.40.2", "audio")));
    let list = listed(aac, &["audio-64k"], true);
    let low = list.variants.last().unwrap();
    assert_eq!(
        variants(&list)[2..],
        [("240p", "mp4a.40.2", "audio-64k"), ("audio-64k", "mp4a.40.2", "audio-64k")]
    );
    assert_eq!((low.bandwidth, low.resolution, low.frame_rate), (128_000, None, None));
    let list = listed(opus(), &["audio-aac"], true);
    assert_eq!(
        variants(&list).last(),
        Some(&("audio-aac", "mp4a.40.2", "audio-aac")),
        "that all players know"
    );
}
