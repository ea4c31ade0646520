//! The names of a broadcast's small pictures.

use std::fmt;

use super::{Invalid, number};

/// The last component of a path under `/live/{channel}/{broadcast}/thumbs/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Thumb {
    /// `index.vtt`: which picture shows which moment.
    Index,
    /// `{n}.jpg`: one picture.
    Picture { n: u64 },
    /// `sheet.{n}.jpg`: many pictures in one.
    Sheet { n: u64 },
}

impl Thumb {
    /// Reads a path's last component.
    pub fn parse(file: &str) -> Result<Self, Invalid> {
        if file == INDEX {
            return Ok(Self::Index);
        }
        let stem = file.strip_suffix(".jpg").ok_or(Invalid::File)?;
        Ok(match stem.strip_prefix("sheet.") {
            Some(n) => Self::Sheet { n: number(n)? },
            None => Self::Picture { n: number(stem)? },
        })
    }
}

impl fmt::Display for Thumb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Index => f.write_str(INDEX),
            Self::Picture { n } => write!(f, "{n}.jpg"),
            Self::Sheet { n } => write!(f, "sheet.{n}.jpg"),
        }
    }
}

const INDEX: &str = "index.vtt";
