//! Real peers: `rml_rtmp`'s client, and what FFmpeg sent over a socket.

use rml_rtmp::handshake::{Handshake, HandshakeProcessResult, PeerType};
use rml_rtmp::sessions::{
    ClientSession, ClientSessionConfig, ClientSessionEvent, ClientSessionResult, PublishRequestType,
    StreamMetadata,
};
use rml_rtmp::time::RtmpTimestamp;

use super::*;
use crate::{Config, Frame, Track, flv};

#[test]
fn another_implementation_publishes() {
    let mut client = Client::connect();
    assert_eq!(client.events, [ClientSessionEvent::ConnectionRequestAccepted]);

    let request = client.session.request_publishing("key".to_owned(), PublishRequestType::Live).unwrap();
    client.exchange(vec![request]);
    let publish = client.server_events.pop().unwrap();
    assert_eq!(
        publish,
        Event::Publish { app: "live".to_owned(), key: "key".to_owned(), query: String::new() }
    );
    client.server.accept_publish().unwrap();
    client.exchange(Vec::new());
    assert!(client.events.contains(&ClientSessionEvent::PublishRequestAccepted));

    let mut metadata = StreamMetadata::new();
    metadata.video_width = Some(1_280);
    metadata.encoder = Some("oracle".to_owned());
    let sent = client.session.publish_metadata(&metadata).unwrap();
    client.exchange(vec![sent]);
    let picture = Bytes::from(vec![0x17; 100_000]);
    let sent = client.session.publish_video_data(picture.clone(), RtmpTimestamp::new(40), false).unwrap();
    client.exchange(vec![sent]);
    let sound = Bytes::from(vec![0xaf; 300]);
    let sent = client.session.publish_audio_data(sound.clone(), RtmpTimestamp::new(46), false).unwrap();
    client.exchange(vec![sent]);
    let stop = client.session.stop_publishing().unwrap();
    client.exchange(stop);

    let expected = Metadata { width: Some(1_280), encoder: Some("oracle".to_owned()), ..Metadata::default() };
    assert_eq!(
        client.server_events[1..],
        [
            Event::Metadata(expected),
            Event::Video { timestamp_ms: 40, data: picture },
            Event::Audio { timestamp_ms: 46, data: sound },
            Event::Unpublish,
        ]
    );
}

#[test]
fn another_implementation_is_rejected() {
    let mut client = Client::connect();
    let request = client.session.request_publishing("wrong".to_owned(), PublishRequestType::Live).unwrap();
    client.exchange(vec![request]);
    client.server.reject_publish("NetStream.Publish.BadName", "Unknown stream key");
    client.exchange(Vec::new());
    let code = "NetStream.Publish.BadName".to_owned();
    assert!(
        client.events.contains(&ClientSessionEvent::UnhandleableOnStatusCode { code }),
        "{:?}",
        client.events
    );
}

#[test]
fn ffmpeg_is_replayed_to_the_last_frame_however_its_bytes_are_split() {
    let whole = replay(FFMPEG, usize::MAX);
    for piece in [1, 7, 1_460, 16_384] {
        assert_eq!(replay(FFMPEG, piece), whole);
    }
    assert_eq!(whole.video.len(), 30);
    assert_eq!(whole.audio.len(), 45);
    let [Config::Avc(video), Config::Aac(audio)] = &whole.configs[..] else { panic!("{:?}", whole.configs) };
    assert_eq!((video.width, video.height, video.frame_rate), (320, 240, Some((30, 1))));
    assert_eq!((audio.sample_rate, audio.channels, audio.codec_string().as_str()), (44_100, 1, "mp4a.40.2"));

    let keyframes: Vec<_> = (0..30).filter(|index| whole.video[*index].keyframe).collect();
    assert_eq!(keyframes, [0, 15]);
    assert!(whole.video.iter().any(|frame| frame.pts - frame.dts > 3_000), "there are B-frames");
    for (index, frame) in (0_i64..).zip(&whole.video) {
        assert!((frame.dts - index * 3_000).abs() <= 90, "frame {index} at {}", frame.dts);
    }
    let mut shown: Vec<_> = whole.video.iter().map(|frame| frame.pts).collect();
    shown.sort_unstable();
    assert!(shown.windows(2).all(|pair| (pair[1] - pair[0] - 3_000).abs() <= 90), "{shown:?}");
}

#[test]
fn ffmpeg_is_replayed_through_extended_timestamps() {
    let whole = replay(FFMPEG_EXTENDED, usize::MAX);
    for piece in [1, 3, 1_460] {
        assert_eq!(replay(FFMPEG_EXTENDED, piece), whole);
    }
    assert_eq!((whole.video.len(), whole.faults), (18, flv::Faults::default()));
    for (index, frame) in (0_i64..).zip(&whole.video) {
        // The audio's priming came first and is time zero.
        assert!(
            (frame.dts - whole.video[0].dts - index * 3_000).abs() <= 90,
            "frame {index} at {}",
            frame.dts
        );
    }
    assert!(whole.first_timestamp < 0xff_ffff && whole.last_timestamp > 0xff_ffff);
}

/// One second from `ffmpeg` 5.1.9 (`-f flv`) with B-frames, all bytes from the handshake to the close.
const FFMPEG: &[u8] = include_bytes!("../../../../testdata/ffmpeg-5.1.rtmp");
/// The same encoder with its clock going over 2^24 milliseconds.
const FFMPEG_EXTENDED: &[u8] = include_bytes!("../../../../testdata/ffmpeg-5.1-extended.rtmp");

#[derive(Debug, PartialEq)]
struct Replay {
    configs: Vec<Config>,
    video: Vec<Frame>,
    audio: Vec<Frame>,
    faults: flv::Faults,
    first_timestamp: u32,
    last_timestamp: u32,
}

/// Gives a session what an encoder sent, `piece` bytes at a time.
fn replay(bytes: &[u8], piece: usize) -> Replay {
    let mut session = Session::new(Limits::default());
    let mut demuxer = flv::Demuxer::new();
    let (mut configs, mut video, mut audio) = (Vec::new(), Vec::new(), Vec::new());
    let (mut timestamps, mut ended) = (Vec::new(), false);
    for part in bytes.chunks(piece.min(bytes.len())) {
        session.handle_input(part).unwrap();
        while session.poll_output().is_some() {}
        while let Some(event) = session.poll_event() {
            let media = match event {
                Event::Video { timestamp_ms, data } => {
                    timestamps.push(timestamp_ms);
                    demuxer.video(timestamp_ms, data)
                }
                Event::Audio { timestamp_ms, data } => demuxer.audio(timestamp_ms, data),
                Event::Publish { .. } => session.accept_publish().map(|()| None),
                Event::Unpublish => {
                    ended = true;
                    Ok(None)
                }
                Event::Metadata(metadata) => {
                    assert_eq!(metadata.encoder.as_deref(), Some("Lavf59.27.100"));
                    Ok(None)
                }
                Event::Connect { .. } => Ok(None),
            };
            match media.unwrap() {
                Some(crate::Event::Config(config)) => configs.push(config),
                Some(crate::Event::Frame(Track::Video, frame)) => video.push(frame),
                Some(crate::Event::Frame(Track::Audio, frame)) => audio.push(frame),
                Some(crate::Event::Further(..)) => panic!("nobody wants it"),
                None => {}
            }
        }
    }
    assert!(ended, "FFmpeg unpublishes before it closes");
    timestamps.retain(|time| *time > 0);
    let (first_timestamp, last_timestamp) = (timestamps[0], *timestamps.last().unwrap());
    Replay { configs, video, audio, faults: demuxer.faults(), first_timestamp, last_timestamp }
}

/// `rml_rtmp`'s client beside our server.
struct Client {
    session: ClientSession,
    server: Session,
    events: Vec<ClientSessionEvent>,
    server_events: Vec<Event>,
}

impl Client {
    fn connect() -> Self {
        let mut server = Session::new(Limits::default());
        let mut handshake = Handshake::new(PeerType::Client);
        server.handle_input(&handshake.generate_outbound_p0_and_p1().unwrap()).unwrap();
        let answer = server.poll_output().unwrap();
        let HandshakeProcessResult::Completed { response_bytes, remaining_bytes } =
            handshake.process_bytes(&answer).unwrap()
        else {
            panic!("the handshake goes on")
        };
        assert!(remaining_bytes.is_empty());
        server.handle_input(&response_bytes).unwrap();
        let (session, first) = ClientSession::new(ClientSessionConfig::new()).unwrap();
        let mut client = Self { session, server, events: Vec::new(), server_events: Vec::new() };
        client.exchange(first);
        let request = client.session.request_connection("live".to_owned()).unwrap();
        client.exchange(vec![request]);
        client
    }

    /// Carries bytes between the two until both are quiet.
    fn exchange(&mut self, mut results: Vec<ClientSessionResult>) {
        loop {
            for result in std::mem::take(&mut results) {
                match result {
                    ClientSessionResult::OutboundResponse(packet) => {
                        self.server.handle_input(&packet.bytes).unwrap();
                    }
                    ClientSessionResult::RaisedEvent(event) => self.events.push(event),
                    ClientSessionResult::UnhandleableMessageReceived(_) => {}
                }
            }
            self.server_events.extend(events(&mut self.server));
            while let Some(output) = self.server.poll_output() {
                results.extend(self.session.handle_input(&output).unwrap());
            }
            if results.is_empty() {
                return;
            }
        }
    }
}
