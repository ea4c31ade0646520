//! A broadcast's transcoders: one for pictures, one for sound, what they make in one queue.
//!
//! Sound is made all the time where there is any to make: it costs about a hundredth of a core, and a player that
//! changes to it wants it now.

use nearcast_api::BroadcastId;
use nearcast_media::{Config as TrackConfig, Frame, Track};
use nearcast_service::drain::Drain;
use tokio::sync::mpsc;

use super::job::Job;
use super::sink::Sink;
use super::{Config, Demand, Ladder, Output, Transcoder, wire};
use crate::metrics::Transcode as Metrics;

/// The origin's handle on all that is made of a broadcast. Dropping it ends the children's input.
#[derive(Debug, Default)]
pub struct Transcoders {
    pictures: Option<Transcoder>,
    sound: Option<Transcoder>,
}

impl Transcoders {
    /// Starts what the `ladder` needs of these tracks. What is made comes out of the receiver, numbered in the order
    /// of the ladder; it ends after the last frame when the handle is dropped.
    pub fn spawn(
        config: &Config,
        broadcast: &BroadcastId,
        (video, audio): (Option<&TrackConfig>, Option<&TrackConfig>),
        ladder: &Ladder,
        encoder: wire::Encoder,
        drain: &Drain,
        metrics: &Metrics,
    ) -> (Self, mpsc::Receiver<Output>) {
        let (outputs, receiver) = mpsc::channel(OUTPUT_FRAMES);
        let spawn = |job: Job, first, demand| {
            let names = ladder.all().skip(first).take(job.rungs()).map(|plan| plan.name.to_owned());
            let track = job.source().codec.track();
            let sink = Sink::new(outputs.clone(), track, first, names, metrics.clone());
            Transcoder::spawn(config, broadcast.clone(), job, demand, sink, drain)
        };
        let pictures = video.filter(|_| !ladder.rungs.is_empty()).and_then(wire::Source::of).map(|source| {
            let job = Job::Pictures(wire::Start {
                source,
                rungs: ladder.rungs.iter().map(|rung| rung.target.clone()).collect(),
                encoder,
                decode_threads: config.decode_threads,
                queue_bytes: config.queue_bytes,
                memory_bytes: config.memory_bytes,
            });
            spawn(job, 0, ladder.demand.clone())
        });
        let sounds = &ladder.sounds;
        let sound = audio.filter(|_| !sounds.steps.is_empty()).and_then(wire::Source::of).map(|source| {
            let rung = |bitrate| wire::sound::Rung { bitrate, after: None };
            let job = Job::Sound(wire::sound::Start {
                source,
                sample_rate: sounds.sample_rate,
                channels: sounds.channels,
                rungs: sounds.steps.iter().map(|step| rung(step.bitrate)).collect(),
                memory_bytes: config.memory_bytes,
            });
            let always = Demand::new(sounds.steps.len(), None);
            spawn(job, ladder.rungs.len(), always.into())
        });
        (Self { pictures, sound }, receiver)
    }

    /// Tracks that are there are of these configurations from the next frame on.
    pub fn renew(&mut self, video: Option<&TrackConfig>, audio: Option<&TrackConfig>) {
        for (transcoder, source) in [(&mut self.pictures, video), (&mut self.sound, audio)] {
            if let (Some(transcoder), Some(source)) = (transcoder, source) {
                transcoder.renew(source);
            }
        }
    }

    /// Hands a source frame on; `cut` says that a segment of the source begins with it. Never waits.
    pub fn push(&mut self, track: Track, frame: Frame, cut: bool) {
        match (track, &mut self.pictures, &mut self.sound) {
            (Track::Video, Some(pictures), _) => pictures.push(frame, cut),
            // A decoder of sound can begin anywhere.
            (Track::Audio, _, Some(sound)) => sound.push(frame, true),
            _ => {}
        }
    }
}

/// Frames from the children: half a second of three rungs at 60 per second.
const OUTPUT_FRAMES: usize = 90;
