//! What is to be stored of one broadcast and in which order, and its playlists. No IO.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use nearcast_media::hls::media::{Head, Playlist, Segment};
use nearcast_media::hls::{multivariant, vod};
use nearcast_media::path::File;

/// Segments of live playlists go in; out come files to store and, of those that are, playlists that stay.
///
/// It holds no media. Its size is that of its playlists.
#[derive(Debug)]
pub(super) struct Recording {
    /// The rendition whose segments say what time the others lack.
    leader: String,
    /// Of the leader's segments, from `first` on: how they begin and how long they last.
    timeline: Vec<(Head, Duration)>,
    first: Option<u64>,
    tracks: BTreeMap<String, Track>,
}

#[derive(Debug)]
struct Track {
    /// Whole segments that are neither stored nor lost yet.
    pending: VecDeque<(u64, Arc<Segment>)>,
    /// The first that has not been seen.
    next: u64,
    /// Initialisation files that are stored.
    maps: BTreeSet<String>,
    playlist: vod::Playlist,
    target_duration: u32,
    independent: bool,
    /// There is something in it that can be played.
    playable: bool,
    changed: bool,
}

/// A file to store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Job {
    pub(super) rendition: String,
    pub(super) file: File,
}

impl Recording {
    pub(super) fn new(leader: &str) -> Self {
        Self { leader: leader.to_owned(), timeline: Vec::new(), first: None, tracks: BTreeMap::new() }
    }

    /// Takes in what is new in a rendition's live playlist. The leader's come first.
    pub(super) fn see(&mut self, rendition: &str, live: &Playlist) {
        if rendition == self.leader {
            self.note_time(live);
        }
        let Some(first) = self.first else { return };
        let track = self.tracks.entry(rendition.to_owned()).or_insert_with(|| Track {
            pending: VecDeque::new(),
            next: first,
            maps: BTreeSet::new(),
            playlist: vod::Playlist::new(live.target_duration, first),
            target_duration: live.target_duration,
            independent: true,
            playable: false,
            changed: false,
        });
        track.independent = live.independent_segments;
        for msn in track.next.max(live.media_sequence)..live.end() {
            if let Some(segment) = live.segment(msn) {
                track.pending.push_back((msn, Arc::clone(segment)));
            }
        }
        track.next = track.next.max(live.end());
    }

    /// The next file of each rendition.
    pub(super) fn next(&mut self) -> Vec<Job> {
        let mut jobs = Vec::new();
        let names: Vec<String> = self.tracks.keys().cloned().collect();
        for rendition in names {
            // What was missing when it was live is missing here.
            while self.front(&rendition).is_some_and(|(_, segment)| segment.gap) {
                self.lost(&rendition);
            }
            let Some((msn, segment)) = self.front(&rendition) else { continue };
            let map = segment.head.map.as_ref().map(|map| &map.uri);
            let map = map.filter(|uri| !self.tracks[&rendition].maps.contains(*uri));
            let file = map.and_then(|uri| File::parse(uri).ok()).unwrap_or(File::Segment { msn });
            jobs.push(Job { rendition, file });
        }
        jobs
    }

    /// A file is in the store.
    pub(super) fn stored(&mut self, job: &Job) {
        match job.file {
            File::Segment { .. } => self.advance(&job.rendition, true),
            _ => {
                if let Some(track) = self.tracks.get_mut(&job.rendition) {
                    track.maps.insert(job.file.to_string());
                }
            }
        }
    }

    /// A rendition's next segment cannot be had any more.
    pub(super) fn lost(&mut self, rendition: &str) {
        self.advance(rendition, false);
    }

    /// Nothing that waits can be had any more; says how many segments that are.
    pub(super) fn lose_all(&mut self) -> u64 {
        let mut lost = 0;
        let names: Vec<String> = self.tracks.keys().cloned().collect();
        for rendition in names {
            while self.front(&rendition).is_some() {
                self.lost(&rendition);
                lost += 1;
            }
        }
        lost
    }

    /// How many segments wait.
    pub(super) fn pending(&self) -> usize {
        self.tracks.values().map(|track| track.pending.len()).sum()
    }

    /// Fills every rendition up to the leader's end: nothing more will come.
    pub(super) fn end(&mut self) {
        let Some(first) = self.first else { return };
        let end = first + self.timeline.len() as u64;
        for track in self.tracks.values_mut() {
            track.fill(&self.timeline, first, end);
        }
    }

    /// Playlists that changed since the last call, by rendition; all that can be played when it is `complete`.
    pub(super) fn playlists(&mut self, complete: bool) -> Vec<(String, String)> {
        let due = self.tracks.iter_mut().filter(|(_, track)| track.playable && (track.changed || complete));
        let render = |(name, track): (&String, &mut Track)| {
            track.changed = false;
            (name.clone(), track.playlist.render(track.independent, complete))
        };
        due.map(render).collect()
    }

    /// A playlist did not reach the store.
    pub(super) fn unwritten(&mut self) {
        self.tracks.values_mut().for_each(|track| track.changed = true);
    }

    /// What the broadcast's multivariant playlist is beside the renditions' folders: only what can be played here.
    pub(super) fn multivariant(
        &self,
        live: multivariant::Playlist,
        broadcast: &str,
    ) -> multivariant::Playlist {
        let here = |uri: &str| {
            let uri = uri.strip_prefix(broadcast)?.strip_prefix('/')?;
            let rendition = uri.split('/').next()?;
            self.tracks.get(rendition).filter(|track| track.playable)?;
            Some(uri.to_owned())
        };
        let audio = live.audio.into_iter().filter_map(|mut audio| {
            audio.uri = Some(here(audio.uri.as_deref()?)?);
            Some(audio)
        });
        let audio: Vec<_> = audio.collect();
        let variants = live.variants.into_iter().filter_map(|mut variant| {
            variant.uri = here(&variant.uri)?;
            let heard = |group: &String| audio.iter().any(|audio| audio.group == *group);
            variant.audio.as_ref().is_none_or(heard).then_some(variant)
        });
        let variants = variants.collect();
        // Lists of keyframes are not stored, and nobody steers those who play what was.
        multivariant::Playlist { variants, audio, i_frames: Vec::new(), steering: None, ..live }
    }

    /// Bytes of all playlists.
    pub(super) fn size(&self) -> usize {
        self.tracks.values().map(|track| track.playlist.size()).sum()
    }

    fn note_time(&mut self, live: &Playlist) {
        let first = *self.first.get_or_insert(live.media_sequence);
        let known = first + self.timeline.len() as u64;
        let target = Duration::from_secs(live.target_duration.into());
        for msn in known..live.end() {
            let seen = live.segment(msn);
            self.timeline
                .push(seen.map_or((Head::default(), target), |seen| (seen.head.clone(), seen.duration)));
        }
    }

    fn front(&self, rendition: &str) -> Option<(u64, &Segment)> {
        self.tracks.get(rendition)?.pending.front().map(|(msn, segment)| (*msn, &**segment))
    }

    fn advance(&mut self, rendition: &str, stored: bool) {
        let (Some(track), Some(first)) = (self.tracks.get_mut(rendition), self.first) else { return };
        let Some((msn, segment)) = track.pending.pop_front() else { return };
        track.fill(&self.timeline, first, msn);
        if stored {
            track.playlist.push(&segment);
            track.playable = true;
        } else {
            track.playlist.push(&track.gap(&segment.head, segment.duration, msn));
        }
        track.changed = true;
    }
}

impl Track {
    /// Up to `end`, what the leader had and this rendition has not is a gap.
    fn fill(&mut self, timeline: &[(Head, Duration)], first: u64, end: u64) {
        for msn in self.playlist.end()..end {
            let time = usize::try_from(msn - first).ok().and_then(|index| timeline.get(index));
            let target = Duration::from_secs(self.target_duration.into());
            let (head, duration) = time.cloned().unwrap_or((Head::default(), target));
            let gap = self.gap(&head, duration, msn);
            self.playlist.push(&gap);
            self.changed = true;
        }
    }

    fn gap(&self, head: &Head, duration: Duration, msn: u64) -> Segment {
        // A map that is not there must not be named.
        let map = head.map.clone().filter(|map| self.maps.contains(&map.uri));
        Segment {
            head: Head { map, ..head.clone() },
            duration,
            uri: File::Segment { msn }.to_string(),
            gap: true,
            ..Segment::default()
        }
    }
}

#[cfg(test)]
mod tests;
