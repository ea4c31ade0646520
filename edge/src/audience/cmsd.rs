//! What players are told beside the media: Common Media Server Data (CTA-5006), where they sent client data.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use nearcast_media::path::{File, Resource};

use super::counters::Player;

/// Adds both headers. `held` is the time from the request to its answer; `full` says that others should be asked.
pub fn tell(headers: &mut HeaderMap, node: &str, path: &str, held: Duration, full: bool) {
    let duress = if full { ";du" } else { "" };
    let dynamic = format!("\"{node}\";rd={}{duress}", held.as_millis());
    if let Ok(dynamic) = HeaderValue::try_from(dynamic) {
        // One for each server on the way.
        headers.append(DYNAMIC, dynamic);
    }
    if let Some(fixed) = fixed(path) {
        headers.insert(STATIC, HeaderValue::from_static(fixed));
    }
}

/// Object type, streaming format (of what belongs to one) and stream type of what is under `path`.
fn fixed(path: &str) -> Option<&'static str> {
    let resource = Resource::parse(path).ok()?;
    Some(match (Player::of(path), resource.within()) {
        (Some(Player::Hls), _) => "ot=m,sf=h,st=l",
        (Some(Player::Dash), _) => "ot=m,sf=d,st=l",
        (_, Some((_, _, File::Init { .. }))) => "ot=i,st=l",
        (_, Some((_, rendition, _))) if rendition.starts_with("audio") => "ot=a,st=l",
        (_, Some(_)) => "ot=v,st=l",
        (_, None) => "ot=o,st=l",
    })
}

const STATIC: HeaderName = HeaderName::from_static("cmsd-static");
const DYNAMIC: HeaderName = HeaderName::from_static("cmsd-dynamic");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_headers_are_structured_fields_and_say_what_it_is() {
        for (path, want) in [
            ("/live/demo/index.m3u8", Some("ot=m,sf=h,st=l")),
            ("/live/demo/index.mpd", Some("ot=m,sf=d,st=l")),
            ("/live/demo/b1/source/init.mp4", Some("ot=i,st=l")),
            ("/live/demo/b1/source/3.1.m4s", Some("ot=v,st=l")),
            ("/live/demo/b1/audio-aac/3.m4s", Some("ot=a,st=l")),
            ("/live/demo/thumb.jpg", Some("ot=o,st=l")),
            ("/other", None),
        ] {
            let mut headers = HeaderMap::new();
            tell(&mut headers, "eu-1", path, Duration::from_millis(12), true);
            assert_eq!(headers.get(STATIC).map(|value| value.to_str().unwrap()), want, "{path}");
            assert_eq!(headers[DYNAMIC], "\"eu-1\";rd=12;du");
            sfv::Parser::new(headers[DYNAMIC].as_bytes()).parse::<sfv::Item>().unwrap();
        }
    }
}
