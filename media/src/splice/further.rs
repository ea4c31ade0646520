//! Further video tracks of the source on the air: under the same shift of time as its first.

use std::collections::BTreeMap;

use super::Output;
use crate::frame::CLOCK;
use crate::{Config, Piece};

/// What the broadcast has of them, by their numbers.
#[derive(Debug, Default)]
pub(super) struct Further {
    configs: BTreeMap<u8, Config>,
    /// To count from the next splice on; until then what such a track shows is left out, for nobody could decode it.
    coming: BTreeMap<u8, Config>,
}

impl Further {
    /// Another source is on the air, with these configurations. What is another than before is told.
    pub(super) fn begin(&mut self, configs: BTreeMap<u8, Config>) -> Vec<Output> {
        self.coming = configs;
        self.change()
    }

    /// What the source on the air has sent of a track, `offset` earlier than the broadcast, which it is a part of from
    /// `from` on.
    pub(super) fn take(&mut self, track: u8, piece: Piece, offset: i64, from: i64) -> Option<Output> {
        match piece {
            Piece::Config(config) => {
                match self.configs.get(&track) {
                    Some(known) if *known == config => drop(self.coming.remove(&track)),
                    Some(_) => drop(self.coming.insert(track, config)),
                    None => {
                        self.configs.insert(track, config.clone());
                        return Some(Output::Further(track, Piece::Config(config)));
                    }
                }
                None
            }
            Piece::Frame(mut frame) => {
                frame.dts += offset;
                frame.pts += offset;
                let shown = frame.pts + TOLERANCE >= from && !self.coming.contains_key(&track);
                shown.then_some(Output::Further(track, Piece::Frame(frame)))
            }
        }
    }

    /// Configurations wait for a splice.
    pub(super) fn is_changing(&self) -> bool {
        !self.coming.is_empty()
    }

    /// There has been a splice.
    pub(super) fn change(&mut self) -> Vec<Output> {
        let coming = std::mem::take(&mut self.coming).into_iter();
        let news =
            coming.filter(|(track, config)| self.configs.get(track) != Some(config)).collect::<Vec<_>>();
        self.configs.extend(news.iter().cloned());
        news.into_iter().map(|(track, config)| Output::Further(track, Piece::Config(config))).collect()
    }
}

/// Protocols and encoders round times.
const TOLERANCE: i64 = CLOCK / 100;
