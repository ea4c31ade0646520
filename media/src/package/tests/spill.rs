//! A broadcast whose older segments are kept by somebody else.

use std::collections::BTreeMap;

use super::world::{CAMERA, audio, audio_frame, settings, video};
use super::*;

/// Somebody who keeps segments, or loses some.
#[derive(Default)]
struct Shelf {
    files: BTreeMap<(String, u64), Vec<u8>>,
    lost: Vec<u64>,
    settle_late: bool,
    unsettled: Vec<(Arc<str>, u64)>,
}

impl Shelf {
    fn serve(&mut self, broadcast: &mut Broadcast) {
        for (rendition, msn) in std::mem::take(&mut self.unsettled) {
            self.settle(broadcast, &rendition, msn);
        }
        while let Some(next) = broadcast.poll_move() {
            match next {
                Move::Out { rendition, msn, parts } => {
                    self.files.insert((rendition.to_string(), msn), parts.concat());
                    if self.settle_late {
                        self.unsettled.push((rendition, msn));
                    } else {
                        self.settle(broadcast, &rendition, msn);
                    }
                }
                Move::Delete { rendition, msn } => {
                    assert!(self.files.remove(&(rendition.to_string(), msn)).is_some(), "{rendition} {msn}");
                }
            }
        }
    }

    fn settle(&mut self, broadcast: &mut Broadcast, rendition: &str, msn: u64) {
        if !broadcast.settle(rendition, msn, !self.lost.contains(&msn)) {
            self.files.remove(&(rendition.to_owned(), msn));
        }
    }

    /// The bytes, wherever they are.
    fn read(&self, rendition: &str, msn: u64, held: Held) -> Vec<u8> {
        match held {
            Held::Memory(pieces) => pieces.concat(),
            Held::Elsewhere { offset, length } => {
                let range = usize::try_from(offset).unwrap()..usize::try_from(offset + length).unwrap();
                self.files[&(rendition.to_owned(), msn)][range].to_vec()
            }
        }
    }
}

/// A minute of video and audio through `shelf`, with room for a segment or two of each in memory.
fn run(shelf: &mut Shelf) -> Broadcast {
    let settings = Settings { memory: 300_000, spill: true, ..settings() };
    let mut broadcast = Broadcast::new("b", 0, settings, video("source", 720));
    broadcast.add_rendition(audio(48_000)).unwrap();
    let mut sound = 0;
    for index in 0..60 * 30 {
        let frame = CAMERA.frame(index);
        while audio_frame(48_000, sound).dts <= frame.dts {
            broadcast.push("audio", audio_frame(48_000, sound)).unwrap();
            shelf.serve(&mut broadcast);
            sound += 1;
        }
        let frame = Frame { data: vec![u8::try_from(index % 251).unwrap(); 2000].into(), ..frame };
        broadcast.push("source", frame).unwrap();
        shelf.serve(&mut broadcast);
        assert!(broadcast.memory() < 600_000, "{}", broadcast.memory());
    }
    broadcast
}

#[test]
fn what_is_listed_can_be_had_in_whole_and_in_parts_wherever_it_is() {
    for settle_late in [false, true] {
        let mut shelf = Shelf { settle_late, ..Shelf::default() };
        let broadcast = run(&mut shelf);
        for rendition in ["source", "audio"] {
            let playlist = &broadcast.playlist(rendition).unwrap().playlist;
            assert!(playlist.segments.len() >= 15, "{rendition}: {}", playlist.segments.len());
            let mut elsewhere = 0;
            for msn in playlist.media_sequence..playlist.end() {
                let whole = broadcast.segment(rendition, msn).unwrap();
                elsewhere += usize::from(matches!(whole, Held::Elsewhere { .. }));
                let bytes = shelf.read(rendition, msn, whole);
                assert!(!bytes.is_empty());
                let parts = (0..).map_while(|part| broadcast.part(rendition, msn, part));
                let parts: Vec<u8> = parts.flat_map(|part| shelf.read(rendition, msn, part)).collect();
                assert_eq!(parts, bytes, "{rendition} {msn}");
                assert_eq!(&bytes[4..8], b"moof", "{rendition} {msn}");
            }
            assert!(elsewhere >= 12, "{rendition}: {elsewhere} are elsewhere");
        }
        // What nobody may ask for any more was deleted: listed are 16, and as many stay after that.
        assert!(shelf.files.len() <= 2 * 34, "{}", shelf.files.len());
    }
}

#[test]
fn a_lost_segment_leaves_with_everything_older_and_nothing_else_does() {
    let mut shelf = Shelf { lost: vec![25], ..Shelf::default() };
    let broadcast = run(&mut shelf);
    let playlist = &broadcast.playlist("source").unwrap().playlist;
    assert!(playlist.media_sequence >= 26, "{}", playlist.media_sequence);
    assert!(playlist.end() == 29 || playlist.end() == 30, "{}", playlist.end());
    assert!(broadcast.segment("source", 24).is_none() && broadcast.segment("source", 27).is_some());
    assert!(!shelf.files.keys().any(|(rendition, msn)| rendition == "source" && *msn <= 25));
}

#[test]
fn a_dropped_rendition_leaves_nothing_behind() {
    let mut shelf = Shelf { settle_late: true, ..Shelf::default() };
    let mut broadcast = run(&mut shelf);
    assert!(shelf.files.keys().any(|(rendition, _)| rendition == "audio"));
    broadcast.drop_rendition("audio").unwrap();
    shelf.serve(&mut broadcast);
    shelf.serve(&mut broadcast);
    assert!(!shelf.files.keys().any(|(rendition, _)| rendition == "audio"));
}

#[test]
fn a_window_may_be_made_smaller_at_any_time() {
    let mut shelf = Shelf::default();
    let mut broadcast = run(&mut shelf);
    broadcast.shrink(0);
    shelf.serve(&mut broadcast);
    for rendition in ["source", "audio"] {
        let end = broadcast.playlist(rendition).unwrap().playlist.end();
        let newest = broadcast.segment(rendition, end - 1).unwrap();
        assert!(matches!(newest, Held::Memory(_)), "the newest stays");
        assert!(matches!(broadcast.segment(rendition, end - 2), Some(Held::Elsewhere { .. })));
    }
}

#[test]
fn without_a_shelf_the_playlist_lists_what_memory_holds_and_forgets_with_grace() {
    let settings = Settings { memory: 1_500_000, ..settings() };
    let mut broadcast = Broadcast::new("b", 0, settings, video("source", 720));
    let mut before: Option<Arc<Snapshot>> = None;
    for index in 0..60 * 30 {
        broadcast.push("source", CAMERA.frame(index)).unwrap();
        assert_eq!(broadcast.poll_move(), None);
        let Some(now) = broadcast.playlist("source") else { continue };
        let moved = before
            .as_ref()
            .is_some_and(|before| before.playlist.media_sequence < now.playlist.media_sequence);
        // The first time nothing has left the playlist that could go instead.
        if moved && index > 30 * 30 {
            let before = before.unwrap();
            assert!(broadcast.segment("source", before.playlist.media_sequence).is_some());
        }
        before = Some(now);
    }
    let playlist = &before.unwrap().playlist;
    // Twelve segments of 120 kB fit; three of them have left the playlist and can still be had.
    assert_eq!(playlist.segments.len(), 9, "{}", playlist.media_sequence);
    assert!(broadcast.segment("source", playlist.media_sequence - 3).is_some());
}
