//! The one audio stream that is followed: from PES packets to frames of sound, each with its time.

use bytes::Bytes;

use super::pes::{Assembler, Unit};
use super::{adts, opus};
use crate::codec::opus::Config as OpusConfig;
use crate::{Config, Result};

#[derive(Debug)]
pub(super) struct Audio {
    pub(super) pid: u16,
    pub(super) packets: Assembler,
    reader: Reader,
}

#[derive(Debug)]
enum Reader {
    Adts(adts::Reader),
    Opus(opus::Reader),
}

/// What a stream carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Codec {
    /// AAC in ADTS.
    Adts,
    Opus(OpusConfig),
}

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sound {
    /// In ticks of 90 kHz, as the PES packet that it begins in says; may be beyond 33 bits.
    pub(super) time: i64,
    /// Given when it is the first, or another.
    pub(super) config: Option<Config>,
    /// Without its head.
    pub(super) data: Bytes,
}

impl Audio {
    pub(super) fn new(pid: u16, codec: Codec) -> Self {
        let reader = match codec {
            Codec::Adts => Reader::Adts(adts::Reader::default()),
            Codec::Opus(config) => Reader::Opus(opus::Reader::new(config)),
        };
        Self { pid, packets: Assembler::new(MAX_SOUND), reader }
    }

    /// The same stream in packets of another PID: what is known of its configuration stays.
    pub(super) fn moved(self, pid: u16) -> Self {
        let mut moved = Self { pid, packets: Assembler::new(MAX_SOUND), reader: self.reader };
        moved.damage();
        moved
    }

    /// Whether this is what it carries.
    pub(super) fn is(&self, codec: &Codec) -> bool {
        match (&self.reader, codec) {
            (Reader::Adts(_), Codec::Adts) => true,
            (Reader::Opus(reader), Codec::Opus(config)) => reader.is_of(config),
            _ => false,
        }
    }

    /// Takes a PES packet; true when bytes of it were left out.
    ///
    /// # Errors
    /// [`crate::Error::UnsupportedCodec`] for a kind of sound that is not taken, [`crate::Error::Malformed`] when the
    /// rest is damaged; the frames before it were given.
    pub(super) fn take(&mut self, unit: &Unit, each: impl FnMut(Sound)) -> Result<bool> {
        match &mut self.reader {
            Reader::Adts(reader) => {
                let skipped = reader.skipped;
                reader.read(unit.pts, &unit.data, each)?;
                Ok(reader.skipped > skipped)
            }
            Reader::Opus(reader) => reader.read(unit.pts, &unit.data, each).map(|()| false),
        }
    }

    /// A part is missing.
    pub(super) fn damage(&mut self) {
        match &mut self.reader {
            Reader::Adts(reader) => reader.reset(),
            Reader::Opus(reader) => reader.reset(),
        }
    }
}

/// What a PES packet's length can say, which sound always has, and the packet that it ends in.
const MAX_SOUND: usize = 65 << 10;
