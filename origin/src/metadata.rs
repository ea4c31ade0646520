//! Timed metadata from the control plane to the broadcast it is for.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use nearcast_api::metadata::{Attribute, Command, Message, Metadata};
use nearcast_media::hls::daterange::Value;
use nearcast_media::{fmp4, id3, package};
use nearcast_service::drain::Drain;
use tokio::sync::mpsc;

use crate::package::Channels;

/// Announces what comes until there is no control plane any more. What a broadcast cannot take is logged and gone.
pub(crate) async fn deliver(channels: Channels, mut commands: mpsc::Receiver<Command>, drain: Drain) {
    while let Some(Some(command)) = drain.unless_draining(commands.recv()).await {
        let Command { channel, broadcast, metadata, .. } = command;
        let id = metadata.id.clone();
        let Some(live) = channels.broadcast(channel.as_str(), broadcast.as_str()) else {
            tracing::info!(%channel, %broadcast, id, "metadata came after its broadcast");
            continue;
        };
        match live.announce(packaged(metadata)) {
            Ok(()) => tracing::debug!(%channel, %broadcast, id, "metadata is announced"),
            Err(error) => tracing::warn!(%channel, %broadcast, id, "metadata is left out: {error}"),
        }
    }
}

/// As the packager takes it.
fn packaged(metadata: Metadata) -> package::Metadata {
    let data = message(&metadata);
    let Metadata { id, at, duration, class, attributes, scheme, .. } = metadata;
    let value = |value| match value {
        Attribute::Number(number) => Value::Plain(number.to_string()),
        Attribute::Text(text) => Value::Text(text),
    };
    package::Metadata {
        id,
        at,
        // Nothing negative or endless comes out of the API; from elsewhere it is no duration.
        duration: duration.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
        class,
        attributes: attributes.into_iter().map(|(name, text)| (name, value(text))).collect(),
        scheme: scheme.unwrap_or_else(|| fmp4::ID3_SCHEME.to_owned()),
        data,
    }
}

/// The message in the media: what was given, or a tag that says what the date range says.
fn message(metadata: &Metadata) -> Bytes {
    match &metadata.id3 {
        // The API has checked it.
        Some(Message::Data(data)) => BASE64.decode(data).unwrap_or_default().into(),
        Some(Message::Frames(frames)) => {
            id3::tag(frames.iter().map(|(name, text)| (name.as_str(), text.as_str())))
        }
        None => {
            let own = |(name, value): (&String, &Attribute)| {
                let text = match value {
                    Attribute::Number(number) => number.to_string(),
                    Attribute::Text(text) => text.clone(),
                };
                (format!("TXXX:{name}"), text)
            };
            let id = ("TXXX:ID".to_owned(), metadata.id.clone());
            let frames: Vec<_> = std::iter::once(id).chain(metadata.attributes.iter().map(own)).collect();
            id3::tag(frames.iter().map(|(name, text)| (name.as_str(), text.as_str())))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_texts_are_told_apart_and_without_a_message_the_tag_says_the_same() {
        let attributes = [
            ("X-SCORE".to_owned(), Attribute::Number(2.0)),
            ("X-TEAM".to_owned(), Attribute::Text("home".into())),
        ];
        let metadata = Metadata {
            id: "goal".into(),
            duration: Some(1.5),
            attributes: attributes.into(),
            ..Metadata::default()
        };
        let packaged = packaged(metadata);
        assert_eq!(packaged.duration, Some(Duration::from_millis(1500)));
        assert_eq!(packaged.attributes[0], ("X-SCORE".into(), Value::Plain("2".into())));
        assert_eq!(packaged.attributes[1], ("X-TEAM".into(), Value::Text("home".into())));
        assert_eq!(packaged.scheme, "https://aomedia.org/emsg/ID3");
        let frames = [("TXXX:ID", "goal"), ("TXXX:X-SCORE", "2"), ("TXXX:X-TEAM", "home")];
        assert_eq!(packaged.data, id3::tag(frames));
    }

    #[test]
    fn a_message_of_ones_own_is_what_it_is() {
        let of =
            |id3| packaged(Metadata { id3: Some(id3), scheme: Some("urn:x".into()), ..Metadata::default() });
        let data = of(Message::Data("AAEC".into()));
        assert_eq!((&data.data[..], data.scheme.as_str()), (&[0, 1, 2][..], "urn:x"));
        let frames = of(Message::Frames([("TIT2".to_owned(), "Goal".to_owned())].into()));
        assert_eq!(frames.data, id3::tag([("TIT2", "Goal")]));
    }
}
