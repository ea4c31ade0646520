//! The names of live resources, the same at origin and edge: `/live/...` paths to [`Resource`] and back.

mod thumb;

use std::fmt;

pub use thumb::Thumb;

/// A name under `/live/`. Borrowed from the path it was parsed from; two different paths never parse to
/// the same resource, so either can be a cache key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resource<'a> {
    /// `/live/{channel}/index.m3u8`: the renditions of the channel's current broadcast.
    Multivariant { channel: &'a str },
    /// `/live/{channel}/index.mpd`: the same for DASH players.
    Manifest { channel: &'a str },
    /// `/live/{channel}/{broadcast}/{rendition}/media.m3u8`: one rendition's playlist.
    Media { channel: &'a str, broadcast: &'a str, rendition: &'a str },
    /// `.../iframe.m3u8`: the keyframes of its segments.
    IFrames { channel: &'a str, broadcast: &'a str, rendition: &'a str },
    /// `.../init.mp4`, `.../init.{version}.mp4`: what a decoder needs before the first frame.
    Init { channel: &'a str, broadcast: &'a str, rendition: &'a str, version: u32 },
    /// `.../{msn}.m4s`: one whole segment.
    Segment { channel: &'a str, broadcast: &'a str, rendition: &'a str, msn: u64 },
    /// `.../{msn}.{part}.m4s`: one part of a segment.
    Part { channel: &'a str, broadcast: &'a str, rendition: &'a str, msn: u64, part: u32 },
    /// `/live/{channel}/thumb.jpg`: the newest picture of the channel's current broadcast.
    Poster { channel: &'a str },
    /// `/live/{channel}/{broadcast}/thumbs/...`: small pictures of the broadcast, which no rendition is called.
    Thumb { channel: &'a str, broadcast: &'a str, file: Thumb },
}

/// The last component of a rendition's path: what a playlist calls a resource in its relative URIs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum File {
    /// `media.m3u8`
    Media,
    /// `iframe.m3u8`
    IFrames,
    /// `init.mp4`, and `init.{version}.mp4` from a rendition's second configuration on, which is version 1.
    Init { version: u32 },
    /// `{msn}.m4s`
    Segment { msn: u64 },
    /// `{msn}.{part}.m4s`
    Part { msn: u64, part: u32 },
}

/// A path that names nothing here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    #[error("the path does not begin with /live/")]
    Prefix,
    #[error("the path has a component that is not 1 to 63 of a-z, 0-9, '-' and '_', or has too many of them")]
    Name,
    #[error(
        "the path does not end in index.m3u8, index.mpd, thumb.jpg, media.m3u8, iframe.m3u8, init.mp4, \
         init.{{version}}.mp4, {{msn}}.m4s or {{msn}}.{{part}}.m4s at its depth, nor in index.vtt, {{n}}.jpg or \
         sheet.{{n}}.jpg under thumbs/"
    )]
    File,
}

impl<'a> Resource<'a> {
    /// Reads an absolute path without query. Exactly one spelling of each resource is accepted: no
    /// percent-encoding, no empty or dotted component, no leading zeros.
    pub fn parse(path: &'a str) -> Result<Self, Invalid> {
        let rest = path.strip_prefix("/live/").ok_or(Invalid::Prefix)?;
        let mut components = rest.split('/');
        let channel = name(components.next())?;
        let second = components.next().ok_or(Invalid::File)?;
        let Some(rendition) = components.next() else {
            return match second {
                INDEX => Ok(Self::Multivariant { channel }),
                MANIFEST => Ok(Self::Manifest { channel }),
                POSTER => Ok(Self::Poster { channel }),
                _ => Err(Invalid::File),
            };
        };
        let broadcast = name(Some(second))?;
        let rendition = name(Some(rendition))?;
        let file = components.next().ok_or(Invalid::File)?;
        if components.next().is_some() {
            return Err(Invalid::Name);
        }
        if rendition == THUMBS {
            return Ok(Self::Thumb { channel, broadcast, file: Thumb::parse(file)? });
        }
        Ok(Self::of(channel, broadcast, rendition, File::parse(file)?))
    }

    /// The resource that a rendition's playlist calls `file`.
    pub fn of(channel: &'a str, broadcast: &'a str, rendition: &'a str, file: File) -> Self {
        match file {
            File::Media => Self::Media { channel, broadcast, rendition },
            File::IFrames => Self::IFrames { channel, broadcast, rendition },
            File::Init { version } => Self::Init { channel, broadcast, rendition, version },
            File::Segment { msn } => Self::Segment { channel, broadcast, rendition, msn },
            File::Part { msn, part } => Self::Part { channel, broadcast, rendition, msn, part },
        }
    }

    /// The channel whose resource this is.
    pub fn channel(&self) -> &'a str {
        match *self {
            Self::Multivariant { channel }
            | Self::Manifest { channel }
            | Self::Poster { channel }
            | Self::Thumb { channel, .. }
            | Self::Media { channel, .. }
            | Self::IFrames { channel, .. }
            | Self::Init { channel, .. }
            | Self::Segment { channel, .. }
            | Self::Part { channel, .. } => channel,
        }
    }

    /// Broadcast, rendition and file; nothing for what stands above or beside the renditions.
    pub fn within(&self) -> Option<(&'a str, &'a str, File)> {
        match *self {
            Self::Multivariant { .. } | Self::Manifest { .. } | Self::Poster { .. } | Self::Thumb { .. } => {
                None
            }
            Self::Media { broadcast, rendition, .. } => Some((broadcast, rendition, File::Media)),
            Self::IFrames { broadcast, rendition, .. } => Some((broadcast, rendition, File::IFrames)),
            Self::Init { broadcast, rendition, version, .. } => {
                Some((broadcast, rendition, File::Init { version }))
            }
            Self::Segment { broadcast, rendition, msn, .. } => {
                Some((broadcast, rendition, File::Segment { msn }))
            }
            Self::Part { broadcast, rendition, msn, part, .. } => {
                Some((broadcast, rendition, File::Part { msn, part }))
            }
        }
    }

    /// True for what never changes once it exists and may be cached for a year.
    pub fn is_immutable(&self) -> bool {
        match self {
            Self::Multivariant { .. }
            | Self::Manifest { .. }
            | Self::Media { .. }
            | Self::IFrames { .. }
            | Self::Poster { .. } => false,
            Self::Thumb { file, .. } => *file != Thumb::Index,
            Self::Init { .. } | Self::Segment { .. } | Self::Part { .. } => true,
        }
    }
}

impl fmt::Display for Resource<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self, self.within()) {
            (_, Some((broadcast, rendition, file))) => {
                write!(f, "/live/{}/{broadcast}/{rendition}/{file}", self.channel())
            }
            (Self::Thumb { channel, broadcast, file }, None) => {
                write!(f, "/live/{channel}/{broadcast}/{THUMBS}/{file}")
            }
            (Self::Poster { channel }, None) => write!(f, "/live/{channel}/{POSTER}"),
            (Self::Manifest { channel }, None) => write!(f, "/live/{channel}/{MANIFEST}"),
            (_, None) => write!(f, "/live/{}/{INDEX}", self.channel()),
        }
    }
}

impl File {
    /// Reads a path's last component.
    pub fn parse(file: &str) -> Result<Self, Invalid> {
        match file {
            "media.m3u8" => return Ok(Self::Media),
            "iframe.m3u8" => return Ok(Self::IFrames),
            "init.mp4" => return Ok(Self::Init { version: 0 }),
            _ => {}
        }
        if let Some(version) = file.strip_prefix("init.").and_then(|rest| rest.strip_suffix(".mp4")) {
            // The first has no number.
            let version = number(version)?.try_into().ok().filter(|version| *version > 0);
            return version.map(|version| Self::Init { version }).ok_or(Invalid::File);
        }
        let stem = file.strip_suffix(".m4s").ok_or(Invalid::File)?;
        Ok(match stem.split_once('.') {
            None => Self::Segment { msn: number(stem)? },
            Some((msn, part)) => Self::Part {
                msn: number(msn)?,
                part: number(part)?.try_into().map_err(|_out_of_range| Invalid::File)?,
            },
        })
    }
}

impl fmt::Display for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Media => f.write_str("media.m3u8"),
            Self::IFrames => f.write_str("iframe.m3u8"),
            Self::Init { version: 0 } => f.write_str("init.mp4"),
            Self::Init { version } => write!(f, "init.{version}.mp4"),
            Self::Segment { msn } => write!(f, "{msn}.m4s"),
            Self::Part { msn, part } => write!(f, "{msn}.{part}.m4s"),
        }
    }
}

/// The same rule as the control plane's for channels, broadcasts and renditions.
fn name(component: Option<&str>) -> Result<&str, Invalid> {
    let component = component.ok_or(Invalid::Name)?;
    let bytes = component.as_bytes();
    let letter = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let valid = bytes.len() <= MAX_NAME
        && bytes.first().is_some_and(letter)
        && bytes.iter().all(|b| letter(b) || matches!(b, b'-' | b'_'));
    valid.then_some(component).ok_or(Invalid::Name)
}

/// Digits only, and no second spelling of a number.
fn number(digits: &str) -> Result<u64, Invalid> {
    let canonical = digits == "0" || !digits.starts_with(['0', '+']);
    if !canonical {
        return Err(Invalid::File);
    }
    digits.parse().map_err(|_not_a_number| Invalid::File)
}

const INDEX: &str = "index.m3u8";
const MANIFEST: &str = "index.mpd";
const POSTER: &str = "thumb.jpg";
const THUMBS: &str = "thumbs";

/// As long as a DNS label, like every other name of the house.
const MAX_NAME: usize = 63;

/// The path up to its last `/`: a rendition's, which all its files share.
pub fn directory(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(directory, _)| directory)
}

/// Fuzz body: whatever parses is spelled in exactly one way.
pub fn fuzz(data: &[u8]) {
    let Ok(path) = std::str::from_utf8(data) else { return };
    if let Ok(resource) = Resource::parse(path) {
        assert_eq!(resource.to_string(), path);
    }
}

#[cfg(test)]
mod tests;
