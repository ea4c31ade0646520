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
