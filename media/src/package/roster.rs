//! Which renditions a broadcast has: they come, rest and go.

use super::rendition::{Rendition, Source};
use super::{Broadcast, Error, Spec};
use crate::frame::Track;
use crate::segment::{audio, rung};

impl Broadcast {
    /// Adds a rendition that follows the leader: the publisher's audio, or video that shows what the leader's does.
    pub fn add_rendition(&mut self, spec: Spec) -> Result<(), Error> {
        let name = &spec.name;
        if self.ended {
            return Err(Error::Ended);
        }
        if self.find(name).is_some() {
            return Err(Error::DuplicateRendition { name: name.clone() });
        }
        if self.renditions.len() >= MAX_RENDITIONS {
            return Err(Error::TooManyRenditions);
        }
        let source = match (self.renditions[0].spec.config.track(), spec.config.track()) {
            (_, Track::Audio) => Source::Audio(audio::Follower::new(&spec.config)),
            (Track::Video, Track::Video) if spec.own => Source::Rung(rung::Follower::own()),
            (Track::Video, Track::Video) => Source::Rung(rung::Follower::default()),
            (Track::Audio, Track::Video) => return Err(Error::VideoAfterAudio { name: name.clone() }),
        };
        let inits = self.dropped.remove(name).unwrap_or_default();
        let mut rendition = Rendition::new(spec, source, inits, self.first_init);
        self.share_events(&mut rendition);
        self.renditions.push(rendition);
        Ok(())
    }

    /// Whether a rendition that the publisher sends had no keyframe where the leader's newest segment began.
    pub fn is_astray(&self, name: &str) -> bool {
        self.find(name).is_some_and(|index| self.renditions[index].is_astray())
    }

    /// Takes a rendition away, with all its media. It may be added again; segments then go on from the leader's
    /// numbers and init segments from its own, so no name ever means other bytes.
    pub fn drop_rendition(&mut self, name: &str) -> Result<(), Error> {
        match self.find(name) {
            None => Err(Error::UnknownRendition { name: name.to_owned() }),
            Some(0) => Err(Error::DropLeader),
            Some(index) => {
                self.forget(index);
                let dropped = self.renditions.remove(index);
                self.dropped.insert(name.to_owned(), dropped.into_inits());
                Ok(())
            }
        }
    }

    /// Lets go of all that a rendition made from the leader's video has, because nobody watches it. It stays listed,
    /// and has a playlist again once frames have come for a whole segment that it did not have before.
    pub fn rest_rendition(&mut self, name: &str) -> Result<(), Error> {
        let index = self.find(name).ok_or_else(|| Error::UnknownRendition { name: name.to_owned() })?;
        self.forget(index);
        self.renditions[index].rest();
        Ok(())
    }
}

/// More than any ladder has.
pub(super) const MAX_RENDITIONS: usize = 16;
