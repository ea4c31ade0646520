//! Further video tracks through failures.

use super::*;

impl World {
    /// `count` frame times of one encoder that sends tracks 1 and 2 as well.
    fn run_further(&mut self, encoder: Encoder, count: i64) {
        for _ in 0..count {
            self.run(&[encoder], 1);
            let (now, dts) = (self.now - FRAME, encoder.first + self.now - FRAME - encoder.began);
            let keyframe = (now - encoder.began) % (2 * CLOCK) == 0;
            let frame = Frame { dts, pts: dts, keyframe, data: Bytes::from_static(&[9]) };
            for track in [1, 2] {
                self.splicer.further(encoder.id, track, Piece::Frame(frame.clone()), now);
            }
            self.collect();
        }
    }

    fn describe(&mut self, encoder: Encoder, heights: [u32; 2]) {
        for (track, height) in (1..).zip(heights) {
            self.splicer.further(encoder.id, track, Piece::Config(avc(height)), self.now);
        }
    }

    /// Times of the frames of track 1.
    fn further(&self) -> Vec<i64> {
        let times = self.said.iter().filter_map(|said| match said {
            Output::Further(1, Piece::Frame(frame)) => Some(frame.dts),
            _ => None,
        });
        times.collect()
    }

    /// Splices, and configurations of further tracks.
    fn changes(&self) -> Vec<(u8, Config)> {
        let changes = self.said.iter().filter_map(|said| match said {
            Output::Splice { video, .. } => Some((0, video.clone().unwrap())),
            Output::Further(track, Piece::Config(config)) => Some((*track, config.clone())),
            _ => None,
        });
        changes.collect()
    }
}

#[test]
fn further_tracks_have_the_offset_of_the_source_and_rest_while_it_is_away() {
    let mut world = World::new();
    let obs = world.join(1, Rank::Primary, 5 * CLOCK, avc(720));
    world.describe(obs, [480, 360]);
    world.run_further(obs, 100);
    let video: Vec<i64> = world.video().iter().map(|(dts, _)| *dts).collect();
    assert_eq!(world.further(), video);
    assert_eq!(world.changes(), [(1, avc(480)), (2, avc(360))]);
    world.leave(obs, false);
    world.run(&[], 300);
    assert_eq!(world.further().len(), 100, "a slate has none");
    // It is back with another configuration of one of them, which counts from the splice.
    world.said.clear();
    let again = world.join(2, Rank::Primary, 77, avc(720));
    world.describe(again, [540, 360]);
    world.run_further(again, 100);
    assert_eq!(world.changes(), [(0, avc(720)), (1, avc(540))]);
    let video: Vec<i64> = world.video().iter().filter(|(_, mark)| *mark == 2).map(|(dts, _)| *dts).collect();
    assert_eq!(world.further(), video);
}

#[test]
fn a_configuration_that_changes_waits_for_the_sources_keyframe() {
    let mut world = World::new();
    let obs = world.join(1, Rank::Primary, 0, avc(720));
    world.describe(obs, [480, 360]);
    world.run_further(obs, 70);
    world.said.clear();
    world.describe(obs, [540, 360]);
    world.run_further(obs, 60);
    assert_eq!(world.changes(), [(0, avc(720)), (1, avc(540))]);
    let times: Vec<i64> = (120..130).map(|n| n * FRAME).collect();
    assert_eq!(world.further(), times, "what nobody could decode is left out");
    // The same again says nothing, and one that is taken back neither.
    world.said.clear();
    world.describe(obs, [480, 360]);
    world.describe(obs, [540, 360]);
    world.run_further(obs, 60);
    assert_eq!((world.changes(), world.further().len()), (vec![], 60));
}

#[test]
fn of_two_encoders_only_the_one_on_the_air_counts() {
    let mut world = World::new();
    let obs = world.join(1, Rank::Primary, 0, avc(720));
    let backup = world.join(2, Rank::Backup, 900, avc(720));
    world.describe(obs, [480, 360]);
    world.run_further(obs, 60);
    let frame = |time| Frame { dts: time, pts: time, keyframe: true, data: Bytes::from_static(&[9]) };
    // Ever so many frames of one that is not on the air: only the newest are kept.
    for time in 0..10_000 {
        world.splicer.further(backup.id, 1, Piece::Frame(frame(time)), world.now);
    }
    world.collect();
    assert_eq!(world.further().len(), 60);
    world.leave(obs, true);
    world.run(&[backup], 90);
    assert!(world.said.contains(&Output::OnAir(backup.id)));
    assert_eq!(world.further().len(), 60, "the backup's are from before it was on the air");
}
