//! A manifest's elements, as the MPD crate knows them (ISO/IEC 23009-1 §5.3).

use std::time::Duration;

use dash_mpd_core as dom;

use super::manifest::{Manifest, Media, Period, Rendition, Segments};
use crate::frame::{CLOCK, Picture, Sound};

/// The whole document.
pub(super) fn mpd(manifest: &Manifest) -> dom::MPD {
    let low_latency = manifest.is_low_latency();
    let live = !manifest.ended;
    let mut profiles = vec![LIVE_PROFILE, CMAF_PROFILE];
    profiles.extend(low_latency.then_some(LOW_LATENCY_PROFILE));
    let end = manifest.periods.last().and_then(|last| last.end);
    dom::MPD {
        xmlns: Some("urn:mpeg:dash:schema:mpd:2011".into()),
        id: Some(manifest.id.clone()),
        profiles: Some(profiles.join(",")),
        mpdtype: Some(if live { "dynamic" } else { "static" }.into()),
        availabilityStartTime: time_of_day(manifest.started_at),
        publishTime: time_of_day(manifest.published_at),
        minimumUpdatePeriod: live.then_some(manifest.target_duration),
        timeShiftBufferDepth: live.then_some(manifest.window),
        // As HLS players that do not follow parts: HOLD-BACK.
        suggestedPresentationDelay: live.then_some(3 * manifest.target_duration),
        mediaPresentationDuration: end.filter(|_| !live).map(|(_, end)| duration(end)),
        minBufferTime: Some(if low_latency { manifest.part_target } else { manifest.target_duration }),
        maxSegmentDuration: Some(manifest.target_duration),
        ServiceDescription: low_latency.then(|| service(manifest)).into_iter().collect(),
        periods: manifest.periods.iter().map(|each| period(manifest, each)).collect(),
        UTCTiming: live.then(clock).into_iter().collect(),
        ..dom::MPD::default()
    }
}

/// How far behind live a player should be, and what it may do to get there.
///
/// Latency counts from the availability times, which are the broadcast's clock. A ProducerReferenceTime would say the
/// same once more, and Shaka Player reads it without the presentation time offset.
fn service(manifest: &Manifest) -> dom::ServiceDescription {
    let milliseconds = |time: Duration| time.as_millis() as f64;
    let latency = dom::Latency {
        min: Some(milliseconds(2 * manifest.part_target)),
        target: Some(milliseconds(TARGET_PARTS * manifest.part_target)),
        max: Some(milliseconds(3 * manifest.target_duration)),
        referenceId: None,
    };
    let rate = dom::PlaybackRate { min: Some(SLOWEST), max: Some(FASTEST) };
    dom::ServiceDescription {
        id: Some("0".into()),
        Latency: vec![latency],
        PlaybackRate: vec![rate],
        ..dom::ServiceDescription::default()
    }
}

fn period(manifest: &Manifest, period: &Period) -> dom::Period {
    // One set for each codec: players switch within a set, and few can between codecs.
    let family = |rendition: &Rendition| rendition.codec.split('.').next().map(str::to_owned);
    let mut sets: Vec<Vec<&Rendition>> = Vec::new();
    for rendition in &period.renditions {
        match sets.iter_mut().find(|set| family(set[0]) == family(rendition)) {
            Some(set) => set.push(rendition),
            None => sets.push(vec![rendition]),
        }
    }
    let sets = (0..).zip(&sets).map(|(id, renditions)| set(manifest, period, id, renditions));
    dom::Period {
        id: Some(format!("{}.{}", manifest.id, period.first)),
        start: Some(duration(period.start)),
        duration: period.end.map(|(_, end)| duration(end.saturating_sub(period.start))),
        adaptations: sets.collect(),
        ..dom::Period::default()
    }
}

fn set(manifest: &Manifest, period: &Period, id: u32, renditions: &[&Rendition]) -> dom::AdaptationSet {
    let video = renditions.iter().any(|rendition| matches!(rendition.media, Media::Video(_)));
    // One set has them: the video, or the audio where it is alone.
    let messages = video || period.renditions.iter().all(|one| matches!(one.media, Media::Audio(_)));
    let schemes = manifest.schemes.iter().filter(|_| messages);
    let message = |scheme: &String| dom::InbandEventStream {
        schemeIdUri: scheme.clone(),
        ..dom::InbandEventStream::default()
    };
    let (content, mime) = if video { ("video", "video/mp4") } else { ("audio", "audio/mp4") };
    dom::AdaptationSet {
        id: Some(id.to_string()),
        contentType: Some(content.into()),
        mimeType: Some(mime.into()),
        segmentAlignment: Some(true),
        startWithSAP: renditions.iter().all(|rendition| rendition.independent).then_some(1),
        Role: vec![dom::Role {
            schemeIdUri: "urn:mpeg:dash:role:2011".into(),
            value: Some("main".into()),
            ..dom::Role::default()
        }],
        InbandEventStream: schemes.map(message).collect(),
        representations: renditions.iter().map(|each| representation(manifest, period, each)).collect(),
        ..dom::AdaptationSet::default()
    }
}

fn representation(manifest: &Manifest, period: &Period, rendition: &Rendition) -> dom::Representation {
    let common = dom::Representation {
        id: Some(rendition.name.clone()),
        bandwidth: Some(rendition.bandwidth),
        codecs: Some(rendition.codec.clone()),
        SegmentTemplate: Some(template(manifest, period, rendition)),
        ..dom::Representation::default()
    };
    match rendition.media {
        Media::Video(Picture { width, height, frame_rate }) => dom::Representation {
            width: Some(width.into()),
            height: Some(height.into()),
            frameRate: frame_rate.map(|(frames, seconds)| match seconds {
                1 => frames.to_string(),
                _ => format!("{frames}/{seconds}"),
            }),
            ..common
        },
        Media::Audio(Sound { sample_rate, channels }) => dom::Representation {
            audioSamplingRate: Some(sample_rate.to_string()),
            AudioChannelConfiguration: vec![dom::AudioChannelConfiguration {
                schemeIdUri: "urn:mpeg:dash:23003:3:audio_channel_configuration:2011".into(),
                value: Some(channels.to_string()),
                ..dom::AudioChannelConfiguration::default()
            }],
            ..common
        },
    }
}

/// All tracks count in the same ticks here, whatever their files do: 2.002 s are no whole number of 44.1 kHz
/// samples, and an error of a fraction of one would grow with every segment.
fn template(manifest: &Manifest, period: &Period, rendition: &Rendition) -> dom::SegmentTemplate {
    let folder = format!("{}/$RepresentationID$", manifest.id);
    let common = dom::SegmentTemplate {
        media: Some(format!("{folder}/$Number$.m4s")),
        initialization: Some(format!("{folder}/{}", rendition.init)),
        timescale: Some(TIMESCALE),
        presentationTimeOffset: Some(period.media_start),
        ..dom::SegmentTemplate::default()
    };
    match &rendition.segments {
        Segments::Counted { duration: ticks } => {
            let ahead = duration(*ticks).saturating_sub(manifest.part_target);
            dom::SegmentTemplate {
                startNumber: Some(period.first),
                endNumber: period.end.map(|(next, _)| next.saturating_sub(1)),
                duration: Some(*ticks as f64),
                availabilityTimeOffset: Some(ahead.as_micros() as f64 / 1e6),
                availabilityTimeComplete: Some(false),
                ..common
            }
        }
        Segments::Listed { first, times } => dom::SegmentTemplate {
            startNumber: Some(*first),
            SegmentTimeline: Some(dom::SegmentTimeline { segments: timeline(times) }),
            ..common
        },
    }
}

/// A segment says when it begins where that is not the end of the one before, and once what several have alike.
fn timeline(times: &[(u64, u64)]) -> Vec<dom::S> {
    let mut out: Vec<dom::S> = Vec::new();
    let mut end = None;
    for &(time, length) in times {
        let follows = end == Some(time);
        match out.last_mut() {
            Some(last) if follows && last.d == length => last.r = Some(last.r.unwrap_or(0) + 1),
            _ => {
                let t = (!follows).then_some(time);
                out.push(dom::S { t, d: length, ..dom::S::default() });
            }
        }
        end = Some(time + length);
    }
    out
}

/// Where players learn the time of day: from the `Date` of an answer to a HEAD of the manifest. Every server has
/// its own clock in there, so an edge need not ask the origin, and a cache that passes its origin's `Date` on is
/// wrong by no more than the manifest's age. A time inside the manifest would be as old as the manifest, and a
/// document of its own could not be cached.
fn clock() -> dom::UTCTiming {
    dom::UTCTiming {
        schemeIdUri: "urn:mpeg:dash:utc:http-head:2014".into(),
        value: Some("index.mpd".into()),
        ..dom::UTCTiming::default()
    }
}

fn time_of_day(unix_ms: u64) -> Option<dom::XsDatetime> {
    dom::XsDatetime::from_timestamp_millis(i64::try_from(unix_ms).ok()?)
}

fn duration(ticks: u64) -> Duration {
    let micros = u128::from(ticks) * 1_000_000 / u128::from(TIMESCALE);
    Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
}

const TIMESCALE: u64 = CLOCK.unsigned_abs();
const LIVE_PROFILE: &str = "urn:mpeg:dash:profile:isoff-live:2011";
/// ISO/IEC 23009-1 §8.12.
const CMAF_PROFILE: &str = "urn:mpeg:dash:profile:cmaf:2019";
const LOW_LATENCY_PROFILE: &str = "http://www.dashif.org/guidelines/low-latency-live-v5";
/// One more than HLS players are held back: theirs are counted from what is announced, these from what happens.
const TARGET_PARTS: u32 = 4;
/// Nobody hears four per cent.
const SLOWEST: f64 = 0.96;
const FASTEST: f64 = 1.04;
