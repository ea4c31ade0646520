use nearcast_media::{Frame, Piece, Track};

use super::*;

fn channels() -> Channels {
    let metrics = Metrics::register(&nearcast_service::metrics::Registry::new());
    let stores = Stores {
        dvr: Dvr::none(),
        recorder: Recorder::none(),
        studio: Studio::none(),
        slates: Slates::none(),
    };
    Channels::new(
        Config::default(),
        transcode::Config::default(),
        Encoder::default(),
        program::Config::default(),
        stores,
        metrics,
        Drain::new(),
    )
}

#[tokio::test]
async fn a_channel_has_one_publisher_and_a_quiet_one_loses_it() {
    let (channels, channel) = (channels(), "demo".parse().unwrap());
    let first = channels.claim(&channel, Rank::Primary, Duration::from_secs(60)).unwrap();
    let refused = channels.claim(&channel, Rank::Primary, Duration::from_secs(60)).unwrap_err();
    assert!(refused.to_string().contains("channel demo is live from another encoder"));

    let second = channels.claim(&channel, Rank::Primary, Duration::ZERO).unwrap();
    first.taken().await;
    drop(first);
    assert!(
        channels.claim(&channel, Rank::Primary, Duration::from_secs(60)).is_err(),
        "the second still has it"
    );
    drop(second);
    assert!(channels.state().is_empty());
}

/// Pictures of this height, whose record says nothing else.
fn video(height: u32) -> TrackConfig {
    let record = bytes::Bytes::from_static(&[1, 0x64, 0, 0x1f, 0xff, 0xe0, 0]);
    let width = height * 16 / 9;
    TrackConfig::Avc(nearcast_media::codec::avc::Config { record, width, height, frame_rate: None })
}

#[tokio::test]
async fn a_publisher_brings_its_own_renditions_and_a_later_one_those_that_are_known() {
    let (channels, channel) = (channels(), "demo".parse().unwrap());
    let ladder = settings::Ladder { from_publisher: Some(true), ..settings::Ladder::default() };
    let claim = |rank| channels.claim(&channel, rank, Duration::ZERO).unwrap();
    let mut first = claim(Rank::Primary).with_ladder(Some(ladder.clone()));
    assert!(first.takes_further() && !claim(Rank::Backup).takes_further());
    first.bring(&[(1, video(360)), (2, video(480))].into());
    let feed = first.begin(Some(video(720)), None, 0, Before::default());
    let mut second = claim(Rank::Backup).with_ladder(Some(ladder));
    second.bring(&[(1, video(480)), (5, video(540))].into());
    let backup = second.begin(Some(video(720)), None, 0, Before::default());

    // The first has them in step; the other size of the second is unknown here.
    for n in 0..70 {
        let (dts, data) = (n * 3_000, bytes::Bytes::from(vec![0; 100]));
        let frame = Frame { dts, pts: dts, keyframe: n % 60 == 0, data };
        feed.push(Track::Video, frame.clone()).await.unwrap();
        for track in [1, 2, 9] {
            feed.further(track, Piece::Frame(frame.clone())).await.unwrap();
        }
    }
    let broadcast = channels.current("demo").unwrap();
    let mut changes = broadcast.changes();
    let ready = changes.wait_for(|_| matches!(broadcast.multivariant(), super::super::Media::Ready(_))).await;
    drop(ready.unwrap());
    let super::super::Media::Ready(list) = broadcast.multivariant() else { panic!() };
    let listed: Vec<&str> = list.lines().filter(|line| line.ends_with("media.m3u8")).collect();
    let name = |line: &&str| line.rsplit('/').nth(1).unwrap().to_owned();
    assert_eq!(listed.iter().map(name).collect::<Vec<_>>(), ["source", "480p", "360p"], "{list}");
    let notes = backup.air().notes();
    assert_eq!((notes.lacking, notes.astray), (vec!["540p".parse().unwrap()], vec![]));
    assert_eq!(feed.air().notes(), Default::default());
    feed.stop().await;
}
