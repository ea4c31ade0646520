//! Where a whole segment's bytes are: in memory, on their way out of it, or where the shell has put them.

use bytes::Bytes;

/// The bytes of a whole segment, part by part.
#[derive(Debug)]
pub(super) enum Stored {
    Memory(Vec<Bytes>),
    /// In memory until the shell says that it has them.
    Leaving(Vec<Bytes>),
    /// The shell has them, one part after the other. Here are their lengths.
    Elsewhere(Vec<u64>),
}

/// Media that can be had: its bytes, or where in its segment they lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Held {
    /// In pieces, not copied.
    Memory(Vec<Bytes>),
    /// The shell has the whole segment; this much of it from `offset` on is meant.
    Elsewhere { offset: u64, length: u64 },
}

impl Stored {
    pub(super) fn part(&self, index: usize) -> Option<Held> {
        match self {
            Self::Memory(parts) | Self::Leaving(parts) => Some(Held::Memory(vec![parts.get(index)?.clone()])),
            Self::Elsewhere(lengths) => {
                let length = *lengths.get(index)?;
                Some(Held::Elsewhere { offset: lengths[..index].iter().sum(), length })
            }
        }
    }

    pub(super) fn whole(&self) -> Held {
        match self {
            Self::Memory(parts) | Self::Leaving(parts) => Held::Memory(parts.clone()),
            Self::Elsewhere(lengths) => Held::Elsewhere { offset: 0, length: lengths.iter().sum() },
        }
    }

    /// How many bytes they are.
    pub(super) fn size(&self) -> u64 {
        match self {
            Self::Memory(parts) | Self::Leaving(parts) => size(parts) as u64,
            Self::Elsewhere(lengths) => lengths.iter().sum(),
        }
    }

    /// The bytes, if they are in memory and are to stay there.
    pub(super) fn resident(&self) -> Option<&[Bytes]> {
        match self {
            Self::Memory(parts) => Some(parts),
            Self::Leaving(_) | Self::Elsewhere(_) => None,
        }
    }
}

/// How many bytes they are.
pub(super) fn size(parts: &[Bytes]) -> usize {
    parts.iter().map(Bytes::len).sum()
}
