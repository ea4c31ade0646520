//! What a caller asks for in its stream id: the stream key as it stands, or in the form of SRT's access control.

use std::borrow::Cow;

/// Why a stream id is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    #[error(
        "there is no stream id: set it to the stream key of your channel (in FFmpeg: srt://HOST:PORT?streamid=KEY)"
    )]
    Missing,
    #[error("the stream id {0:?} cannot be read: send the stream key alone, or #!::r=KEY,m=publish")]
    Unreadable(String),
    #[error(
        "it asks to {0}: over SRT this origin takes publishers only, viewers find their address on the page"
    )]
    Mode(Cow<'static, str>),
}

/// The stream key in a stream id (Haivision's "SRT Access Control (Stream ID) Guidelines").
///
/// `#!::` is followed by `key=value` pairs between commas: `r` is the stream key, `m` the mode; `u`, `h`, `s`, `t` and
/// pairs of others say nothing to us. A caller that names no mode publishes: nothing else can be meant here.
pub(super) fn key(stream_id: &str) -> Result<&str, Refused> {
    let Some(controlled) = stream_id.strip_prefix("#!") else {
        return if stream_id.is_empty() { Err(Refused::Missing) } else { Ok(stream_id) };
    };
    // Behind the first = there may be a key.
    let quoted = stream_id.split_inclusive('=').next().unwrap_or_default();
    let unreadable = || Refused::Unreadable(quoted.chars().take(QUOTED).collect());
    let pairs = controlled.strip_prefix("::").ok_or_else(unreadable)?;
    let mut resource = None;
    for pair in pairs.split(',').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').ok_or_else(unreadable)?;
        match (name, value) {
            ("m", "publish") => {}
            ("m", "request") => return Err(Refused::Mode("play".into())),
            ("m", "bidirectional") => return Err(Refused::Mode("publish and play".into())),
            ("m", other) => return Err(Refused::Mode(format!("{:?}", shortened(other)).into())),
            ("r", key) if !key.is_empty() => resource = Some(key),
            _ => {}
        }
    }
    resource.ok_or(Refused::Missing)
}

fn shortened(text: &str) -> String {
    text.chars().take(QUOTED).collect()
}

/// Characters of a stream id in the log: enough to know it by.
const QUOTED: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found() {
        for (id, expected) in [
            ("live-key_1", "live-key_1"),
            ("#!::r=abc,m=publish", "abc"),
            ("#!::h=origin.test,u=me,r=abc", "abc"),
            ("#!::m=publish,,r=a=b", "a=b"),
            ("!#::r=abc", "!#::r=abc"),
        ] {
            assert_eq!(key(id), Ok(expected), "{id}");
        }
    }

    #[test]
    fn what_is_no_publisher_is_told_so() {
        assert_eq!(key(""), Err(Refused::Missing));
        assert_eq!(key("#!::m=publish"), Err(Refused::Missing));
        assert_eq!(key("#!::r=,m=publish"), Err(Refused::Missing));
        assert_eq!(key("#!::r=abc,m=request"), Err(Refused::Mode("play".into())));
        assert!(matches!(key("#!::r=abc,m=x"), Err(Refused::Mode(_))));
        for id in ["#!:{r: abc}", "#!", "#!::abc", "#!abc"] {
            assert!(matches!(key(id), Err(Refused::Unreadable(_))), "{id}");
        }
    }
}
