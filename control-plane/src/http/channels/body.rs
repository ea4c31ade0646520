//! What callers say of a channel that they make or change.

use nearcast_api::ChannelId;
use nearcast_api::channel::Settings;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use utoipa::ToSchema;

use crate::profile::{Patch, Visibility};

/// Both have the same fields, but for the first ones: `serde(flatten)` does not go with `deny_unknown_fields`.
macro_rules! bodies {
    ($($(#[$doc:meta])* $name:ident as $schema:ident { $($own:tt)* })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Deserialize, ToSchema)]
        #[serde(deny_unknown_fields)]
        #[schema(as = $schema)]
        pub(in crate::http) struct $name {
            $($own)*
            /// Whose it is: the id of a user or an organisation, at most 64 characters. It is for people, and gives
            /// nobody a right.
            #[serde(default, deserialize_with = "given")]
            #[schema(value_type = Option<String>)]
            owner: Option<Option<String>>,
            /// At most 2000 characters; line breaks are fine.
            #[serde(default, deserialize_with = "given")]
            #[schema(value_type = Option<String>)]
            description: Option<Option<String>>,
            /// What is spoken, as a tag of BCP 47 such as `es-MX`; null for none.
            #[serde(default, deserialize_with = "given")]
            #[schema(value_type = Option<String>)]
            language: Option<Option<String>>,
            /// At most 10 of at most 32 characters; kept in lower case, each once.
            #[serde(default, deserialize_with = "given")]
            #[schema(value_type = Option<Vec<String>>)]
            tags: Option<Option<Vec<String>>>,
            /// The id of a category; null for none.
            #[serde(default, deserialize_with = "given")]
            #[schema(value_type = Option<String>)]
            category: Option<Option<String>>,
            /// Not for everybody: the directory lists it for those who ask for such channels.
            #[serde(default, deserialize_with = "given")]
            #[schema(value_type = Option<bool>)]
            mature: Option<Option<bool>>,
            /// Whether the directory lists it, `public` at first. Who may watch is said by `settings.playback`.
            #[serde(default, deserialize_with = "given")]
            #[schema(value_type = Option<Visibility>)]
            visibility: Option<Option<Visibility>>,
            /// Only the settings that change; null for the origin's default (RFC 7396).
            #[serde(default, deserialize_with = "value")]
            #[schema(value_type = Option<Settings>)]
            settings: Option<Value>,
        }

        impl $name {
            /// Title, profile and settings.
            pub(super) fn into_parts(self) -> (Option<String>, Patch, Option<Value>) {
                let Self { title, owner, description, language, tags, category, mature, visibility, settings, .. } = self;
                let patch = Patch { owner, description, language, tags, category, mature, visibility };
                (title, patch, settings)
            }
        }
    )*};
}

bodies! {
    /// A channel to be.
    Create as CreateChannel {
        pub(super) id: ChannelId,
        /// At most 200 characters; the id when left out.
        #[serde(default)]
        title: Option<String>,
    }
    /// What changes; what is left out stays, null goes back to what it is at first.
    Change as ChangeChannel {
        /// At most 200 characters.
        #[serde(default)]
        title: Option<String>,
    }
}

/// Null is something other than nothing.
fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(from).map(Some)
}

/// The same.
fn value<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(from).map(Some)
}
