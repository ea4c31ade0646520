//! Playlist text to snapshots: the reverse of [`Playlist::render`] and
//! [`super::multivariant::Playlist::render`], for our own playlists and any other server's. Tags that the snapshots
//! have no place for are passed over, as RFC 8216bis §6.3.1 asks of clients.

use super::delta::Update;
use super::media::Playlist;
use super::tag::{self, Attributes};

mod media;
mod multivariant;

/// A playlist that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot read line {line} of the playlist")]
pub struct Error {
    /// Counted from 1.
    pub line: usize,
    #[source]
    pub kind: Kind,
}

/// What is wrong with the line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Kind {
    #[error("the playlist is longer than {MAX_LEN} bytes")]
    TooLong,
    #[error("the first line is not #EXTM3U")]
    NotAPlaylist,
    #[error("{0} belongs to the other kind of playlist")]
    OtherKind(&'static str),
    #[error("{0} is malformed")]
    Tag(&'static str),
    #[error("{tag} is malformed")]
    Attributes {
        tag: &'static str,
        #[source]
        cause: tag::Error,
    },
    #[error("there is no EXTINF before the URI")]
    NoDuration,
    #[error("there is no EXT-X-STREAM-INF before the URI")]
    NoStreamInf,
    #[error("the playlist ends without {0}")]
    Missing(&'static str),
    #[error("EXT-X-SKIP: this is a delta update, and there is nothing to apply it to")]
    Delta,
}

/// Reads a whole media playlist.
pub fn media(text: &str) -> Result<Playlist, Error> {
    match update(text)? {
        Update::Full(playlist) => Ok(playlist),
        Update::Delta(_) => Err(Error { line: text.lines().count(), kind: Kind::Delta }),
    }
}

/// Reads a media playlist or a delta update of one.
pub fn update(text: &str) -> Result<Update, Error> {
    let mut reader = media::Reader::default();
    let last = each_line(text, |line| reader.line(line))?;
    reader.finish().map_err(|kind| Error { line: last, kind })
}

/// Reads a multivariant playlist.
pub fn multivariant(text: &str) -> Result<super::multivariant::Playlist, Error> {
    let mut reader = multivariant::Reader::default();
    let last = each_line(text, |line| reader.line(line))?;
    reader.finish().map_err(|kind| Error { line: last, kind })
}

/// Calls `read` with every line but blank ones, comments and the first, and returns the number of the last.
fn each_line(text: &str, mut read: impl FnMut(Line<'_>) -> Result<(), Kind>) -> Result<usize, Error> {
    if text.len() > MAX_LEN {
        return Err(Error { line: 1, kind: Kind::TooLong });
    }
    let mut lines = text.lines();
    if lines.next().map(str::trim_end) != Some("#EXTM3U") {
        return Err(Error { line: 1, kind: Kind::NotAPlaylist });
    }
    let mut last = 1;
    for (line, content) in (2..).zip(lines) {
        last = line;
        let content = content.trim_end();
        let content = match content.strip_prefix("#EXT") {
            Some(_) => {
                let (name, value) = content[1..].split_once(':').unwrap_or((&content[1..], ""));
                Line::Tag(name, value)
            }
            None if content.is_empty() || content.starts_with('#') => continue,
            None => Line::Uri(content),
        };
        read(content).map_err(|kind| Error { line, kind })?;
    }
    Ok(last)
}

enum Line<'a> {
    /// Without `#`; the value is what follows the colon.
    Tag(&'a str, &'a str),
    Uri(&'a str),
}

/// Reads an attribute list and what `read` makes of it.
fn list<T>(
    tag: &'static str,
    value: &str,
    read: impl FnOnce(&Attributes<'_>) -> Result<T, tag::Error>,
) -> Result<T, Kind> {
    Attributes::parse(value).and_then(|list| read(&list)).map_err(|cause| Kind::Attributes { tag, cause })
}

/// A day of two-second segments fits. What is read takes at most some fifteen times the text's memory.
const MAX_LEN: usize = 4 << 20;

/// Fuzz body: what was read once reads the same from its own text.
pub fn fuzz(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(playlist) = media(text) {
        let rendered = playlist.render();
        let again = media(&rendered).map(|again| Playlist::render(&again));
        assert_eq!(again, Ok(rendered));
        let _any = playlist.render_delta();
        let mut history = super::daterange::History::default();
        history.update(&playlist);
        let _any = playlist.render_delta_v2(&history);
    }
    if let Ok(Update::Delta(delta)) = update(text) {
        let _any = delta.apply(&Playlist::default());
    }
    if let Ok(playlist) = multivariant(text) {
        assert_eq!(multivariant(&playlist.render()), Ok(playlist));
    }
}

#[cfg(test)]
mod tests;
