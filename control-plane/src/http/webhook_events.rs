//! What receivers of webhooks are sent, for the document's `webhooks`.

use utoipa::openapi::path::{HttpMethod, OperationBuilder, ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::openapi::{Content, Paths, PathsBuilder, Ref, Required, ResponseBuilder};

use crate::webhooks::Kind;

/// A request for each kind of event.
pub(super) fn describe() -> Paths {
    let paths = PathsBuilder::new();
    Kind::ALL.iter().fold(paths, |paths, kind| paths.path(kind.as_str(), item(*kind))).build()
}

fn item(kind: Kind) -> PathItem {
    let body = RequestBodyBuilder::new()
        .content("application/json", Content::new(Some(envelope(kind))))
        .required(Some(Required::True));
    let operation =
        OperationBuilder::new().tag("webhooks").summary(Some(kind.help())).request_body(Some(body.build()));
    let operation = HEADERS.iter().fold(operation, |operation, (name, text)| {
        let header =
            ParameterBuilder::new().name(*name).parameter_in(ParameterIn::Header).required(Required::True);
        operation.parameter(
            header.description(Some(*text)).schema(Some(ObjectBuilder::new().schema_type(Type::String))),
        )
    });
    let taken = ResponseBuilder::new()
        .description("Taken. Redirects are not followed, and anything else is tried again.");
    let gone = ResponseBuilder::new().description("The webhook is to be disabled.");
    PathItem::new(HttpMethod::Post, operation.response("2XX", taken).response("410", gone))
}

fn envelope(kind: Kind) -> Schema {
    let text = |about| ObjectBuilder::new().schema_type(Type::String).description(Some(about));
    let id = text("The same with every attempt, and for every receiver.");
    let timestamp = text("When it happened.").format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)));
    let at = ObjectBuilder::new()
        .schema_type(Type::Integer)
        .description(Some("The same, in milliseconds since the Unix epoch."));
    let object = ObjectBuilder::new()
        .property("id", id)
        .property("type", text("What happened.").enum_values(Some([kind.as_str()])))
        .property("timestamp", timestamp)
        .property("at", at)
        .property("data", Ref::from_schema_name(kind.schema()));
    ["id", "type", "timestamp", "at", "data"]
        .iter()
        .fold(object, |object, name| object.required(*name))
        .into()
}

const HEADERS: [(&str, &str); 3] = [
    ("webhook-id", "The event's id."),
    ("webhook-timestamp", "When this attempt was made, in seconds since the Unix epoch."),
    (
        "webhook-signature",
        "Signatures with blanks between them, one for each secret that counts: `v1,` and the base64 of HMAC-SHA256 over \
         `webhook-id.webhook-timestamp.body` (Standard Webhooks 1.0).",
    ),
];
