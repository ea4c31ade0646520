//! What two origins say to each other about a publisher whose frames the one passes on to the other.
//!
//! Framed as what transcode children are told is ([`wire`]): a big-endian `u32` length, one byte of kind and a body.

use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use nearcast_media::codec::{aac, av1, avc, flac, hevc, opus, vp9};
use nearcast_media::package::Position;
use nearcast_media::{Config, Frame, Piece, Track};

use crate::package::Handover;
use crate::transcode::wire::{self, Codec, Error, Source};

/// What comes from the publisher.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    Config(Config),
    Frame(Track, Frame),
    /// What a further video track has, by its number.
    Further(u8, Piece),
    /// It stops of its own will.
    Stop,
}

/// What the origin that has the channel answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// Whether viewers see it.
    Air(bool),
    /// Where the broadcast stands, now and then: to go on with, should this origin be lost.
    Handover(Handover),
    /// The publisher must go, for this reason.
    Refused(String),
    /// The broadcast is over.
    Over,
    /// This origin shuts down: go on with the broadcast.
    Leaving,
}

impl Request {
    /// Appends the message, length first.
    pub fn encode(&self, out: &mut BytesMut) {
        wire::framed(out, |out| match self {
            Self::Config(config) => {
                out.put_u8(CONFIG);
                put_config(config, out);
            }
            Self::Frame(track, frame) => {
                out.put_slice(&[FRAME, u8::from(*track == Track::Video)]);
                wire::encode_frame(frame, out);
            }
            Self::Further(track, Piece::Config(config)) => {
                out.put_slice(&[FURTHER_CONFIG, *track]);
                put_config(config, out);
            }
            Self::Further(track, Piece::Frame(frame)) => {
                out.put_slice(&[FURTHER_FRAME, *track]);
                wire::encode_frame(frame, out);
            }
            Self::Stop => out.put_u8(STOP),
        });
    }

    /// Reads what [`wire::split`] gave.
    pub fn decode(mut message: Bytes) -> Result<Self, Error> {
        Ok(match wire::u8_of(&mut message)? {
            CONFIG => Self::Config(config(message)?),
            FRAME => {
                let track = if wire::u8_of(&mut message)? & 1 != 0 { Track::Video } else { Track::Audio };
                Self::Frame(track, wire::decode_frame(message)?)
            }
            FURTHER_CONFIG => {
                let track = wire::u8_of(&mut message)?;
                let config = config(message)?;
                if config.track() != Track::Video {
                    return Err(Error::Record);
                }
                Self::Further(track, Piece::Config(config))
            }
            FURTHER_FRAME => {
                let track = wire::u8_of(&mut message)?;
                Self::Further(track, Piece::Frame(wire::decode_frame(message)?))
            }
            STOP => wire::ended(&message, Self::Stop)?,
            kind => return Err(Error::UnknownKind(kind)),
        })
    }
}

impl Reply {
    /// Appends the message, length first.
    pub fn encode(&self, out: &mut BytesMut) {
        wire::framed(out, |out| match self {
            Self::Air(on) => out.put_slice(&[AIR, u8::from(*on)]),
            Self::Handover(handover) => {
                out.put_u8(HANDOVER);
                put_handover(handover, out);
            }
            Self::Refused(words) => {
                out.put_u8(REFUSED);
                out.put_slice(words.as_bytes());
            }
            Self::Over => out.put_u8(OVER),
            Self::Leaving => out.put_u8(LEAVING),
        });
    }

    /// Reads what [`wire::split`] gave.
    pub fn decode(mut message: Bytes) -> Result<Self, Error> {
        Ok(match wire::u8_of(&mut message)? {
            AIR => {
                let on = wire::u8_of(&mut message)? & 1 != 0;
                wire::ended(&message, Self::Air(on))?
            }
            HANDOVER => Self::Handover(handover(message)?),
            REFUSED => Self::Refused(text(&message)?),
            OVER => wire::ended(&message, Self::Over)?,
            LEAVING => wire::ended(&message, Self::Leaving)?,
            kind => return Err(Error::UnknownKind(kind)),
        })
    }
}

/// Codec, size of the picture (0 for sound), record.
fn put_config(config: &Config, out: &mut BytesMut) {
    let Some(Source { codec, record }) = Source::of(config) else { return };
    let (width, height) = config.picture().map_or((0, 0), |picture| (picture.width, picture.height));
    out.put_u8(codec as u8);
    out.put_u32(width);
    out.put_u32(height);
    out.put_slice(&record);
}

fn config(mut body: Bytes) -> Result<Config, Error> {
    let codec = Codec::decode(wire::u8_of(&mut body)?)?;
    let (width, height) = (wire::u32_of(&mut body)?, wire::u32_of(&mut body)?);
    let parsed = match codec {
        Codec::Avc => avc::Config::parse(&body).map(Config::Avc),
        Codec::Hevc => hevc::Config::parse(&body).map(Config::Hevc),
        Codec::Av1 => return av1(&body),
        Codec::Vp9 => vp9::Record::parse(&body).map(|record| Config::Vp9(record.with_size(width, height))),
        Codec::Aac => aac::Config::parse(&body).map(Config::Aac),
        Codec::Opus => opus::Config::parse(&body).map(Config::Opus),
        Codec::Flac => flac::Config::parse(&body).map(Config::Flac),
    };
    parsed.map_err(|_| Error::Record)
}

/// It must have the sequence header, as every one has that a demuxer found.
fn av1(record: &[u8]) -> Result<Config, Error> {
    let parsed = av1::Config::parse(record).ok().flatten();
    parsed.map(Config::Av1).ok_or(Error::Record)
}

fn put_handover(handover: &Handover, out: &mut BytesMut) {
    let Handover { broadcast, started_at, since, position } = handover;
    out.put_u64(*started_at);
    out.put_u64(*since);
    out.put_u64(position.started_at);
    out.put_i64(position.epoch);
    out.put_i64(position.end);
    out.put_u64(position.msn);
    out.put_u64(position.discontinuities);
    out.put_u32(position.announced);
    out.put_u32(position.init);
    out.put_u32(position.target_duration);
    for duration in [position.part_target, position.frame] {
        out.put_u64(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
    }
    out.put_slice(broadcast.as_str().as_bytes());
}

fn handover(mut body: Bytes) -> Result<Handover, Error> {
    let truncated = |_| Error::Truncated;
    let mut number = || body.try_get_u64().map_err(truncated);
    let (started_at, since) = (number()?, number()?);
    let zero = number()?;
    let mut time = || body.try_get_i64().map_err(truncated);
    let (epoch, end) = (time()?, time()?);
    let mut number = || body.try_get_u64().map_err(truncated);
    let (msn, discontinuities) = (number()?, number()?);
    let announced = wire::u32_of(&mut body)?;
    let (init, target_duration) = (wire::u32_of(&mut body)?, wire::u32_of(&mut body)?);
    let mut duration = || body.try_get_u64().map(Duration::from_nanos).map_err(truncated);
    let (part_target, frame) = (duration()?, duration()?);
    let broadcast = text(&body)?.parse().map_err(|_| Error::NotText)?;
    let counts = [started_at, since, zero, msn, discontinuities, epoch.unsigned_abs(), end.unsigned_abs()];
    let lengths = [part_target, frame];
    let possible = counts.iter().all(|count| *count <= wire::LATEST)
        && (1..=60).contains(&target_duration)
        && lengths.iter().all(|length| (MILLISECOND..=MINUTE).contains(length));
    if !possible {
        return Err(Error::Range);
    }
    let position = Position {
        started_at: zero,
        epoch,
        end,
        msn,
        discontinuities,
        announced,
        init,
        target_duration,
        part_target,
        frame,
    };
    Ok(Handover { broadcast, started_at, since, position })
}

fn text(body: &[u8]) -> Result<String, Error> {
    std::str::from_utf8(body).map(str::to_owned).map_err(|_| Error::NotText)
}

const MILLISECOND: Duration = Duration::from_millis(1);
const MINUTE: Duration = Duration::from_secs(60);

const CONFIG: u8 = 1;
const FRAME: u8 = 2;
const STOP: u8 = 3;
const AIR: u8 = 4;
const HANDOVER: u8 = 5;
const REFUSED: u8 = 6;
const OVER: u8 = 7;
const LEAVING: u8 = 8;
const FURTHER_CONFIG: u8 = 9;
const FURTHER_FRAME: u8 = 10;

/// Reads `data` as a stream of messages in both directions; what can be read can be written and read again alike.
pub fn fuzz(data: &[u8]) {
    let mut stream = BytesMut::from(data);
    while let Ok(Some(message)) = wire::split(&mut stream) {
        wire::round_trip(message.clone(), Request::decode, Request::encode);
        wire::round_trip(message, Reply::decode, Reply::encode);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame() -> Frame {
        Frame { dts: -3, pts: 6000, keyframe: true, data: Bytes::from_static(b"picture") }
    }

    fn messages() -> (Vec<Request>, Vec<Reply>) {
        let vp9 = [0, 31, 0x80, 1, 1, 1];
        let requests = vec![
            Request::Config(Config::Aac(aac::Config::parse(&[0x12, 0x10]).unwrap())),
            Request::Config(Config::Vp9(vp9::Record::parse(&vp9).unwrap().with_size(1280, 720))),
            Request::Frame(Track::Video, frame()),
            Request::Frame(Track::Audio, frame()),
            Request::Further(
                1,
                Piece::Config(Config::Vp9(vp9::Record::parse(&vp9).unwrap().with_size(640, 360))),
            ),
            Request::Further(255, Piece::Frame(frame())),
            Request::Stop,
        ];
        let position = Position {
            started_at: 1_785_585_600_000,
            epoch: -900_000,
            end: 1 << 40,
            msn: 77,
            discontinuities: 3,
            announced: 5,
            init: 2,
            target_duration: 2,
            part_target: Duration::from_millis(502),
            frame: Duration::from_nanos(33_366_666),
        };
        let broadcast = "01m87vszc40atnfzec0ghzhs3t".parse().unwrap();
        let handover = Handover { broadcast, started_at: 5, since: 6, position };
        let replies = vec![
            Reply::Air(true),
            Reply::Handover(handover),
            Reply::Refused("another encoder publishes".into()),
            Reply::Over,
            Reply::Leaving,
        ];
        (requests, replies)
    }

    #[test]
    fn what_is_written_is_read() {
        let (requests, replies) = messages();
        let mut stream = BytesMut::new();
        requests.iter().for_each(|request| request.encode(&mut stream));
        for request in requests {
            assert_eq!(Request::decode(wire::split(&mut stream).unwrap().unwrap()), Ok(request));
        }
        replies.iter().for_each(|reply| reply.encode(&mut stream));
        for reply in replies {
            assert_eq!(Reply::decode(wire::split(&mut stream).unwrap().unwrap()), Ok(reply));
        }
    }

    #[test]
    fn damage_is_an_error() {
        let (requests, replies) = messages();
        let mut stream = BytesMut::new();
        requests.iter().for_each(|request| request.encode(&mut stream));
        replies.iter().for_each(|reply| reply.encode(&mut stream));
        assert_eq!(Request::decode(Bytes::from_static(&[11])), Err(Error::UnknownKind(11)));
        let mut sound = BytesMut::new();
        let aac = Config::Aac(aac::Config::parse(&[0x12, 0x10]).unwrap());
        Request::Further(1, Piece::Config(aac)).encode(&mut sound);
        let sound = wire::split(&mut sound).unwrap().unwrap();
        assert_eq!(Request::decode(sound), Err(Error::Record), "no picture");
        assert_eq!(Request::decode(Bytes::from_static(&[CONFIG, 0, 0])), Err(Error::Truncated));
        assert_eq!(Reply::decode(Bytes::from_static(&[OVER, 0])), Err(Error::Trailing));
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(at in 0..400_usize, with in any::<u8>(), cut in 0..400_usize, any in prop::collection::vec(any::<u8>(), 0..64)) {
            let (requests, replies) = messages();
            let mut stream = BytesMut::new();
            requests.iter().for_each(|request| request.encode(&mut stream));
            replies.iter().for_each(|reply| reply.encode(&mut stream));
            if let Some(byte) = stream.get_mut(at) {
                *byte = with;
            }
            fuzz(&stream);
            fuzz(stream.get(cut..).unwrap_or_default());
            fuzz(&any);
        }
    }
}
