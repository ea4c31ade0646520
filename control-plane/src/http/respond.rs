//! From errors to statuses and problem documents (RFC 9457): the only such place.

use axum::response::{IntoResponse, Response};
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use nearcast_api::Problem;
use nearcast_service::log::Chain;

use crate::error::Error;

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let status = status(&self);
        // Pages that were not built are the caller's to see; the rest is the operator's.
        if status.is_server_error() && !matches!(self, Self::NoPages | Self::Busy) {
            tracing::error!("cannot answer a request: {}", Chain(&self));
        }
        let title = status.canonical_reason().unwrap_or("Failure").to_owned();
        let problem = Problem { status: status.as_u16(), title, detail: self.to_string() };
        // A struct of two strings and a number always has a JSON form.
        let body = serde_json::to_vec(&problem).unwrap_or_default();
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(Problem::CONTENT_TYPE));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if matches!(self, Self::PageMethod(_)) {
            headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        }
        if let Some(seconds) = self.retry_after() {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"nearcast\""));
        }
        response
    }
}

fn status(error: &Error) -> StatusCode {
    match error {
        Error::NoChannel(_)
        | Error::NoCategory(_)
        | Error::NoKey { .. }
        | Error::NoPlaybackKey(_)
        | Error::NoRevocation(_)
        | Error::NoApiToken(_)
        | Error::NoWebhook(_)
        | Error::NoDelivery { .. }
        | Error::NoCertificate(_)
        | Error::NoEnrolment(_)
        | Error::NoNode(_)
        | Error::NoTopology(_)
        | Error::NoDraft
        | Error::NoPurge(_)
        | Error::NoUser(_)
        | Error::NoSession(_)
        | Error::NoOwnSession
        | Error::NoOidc
        | Error::NoSuchPath => StatusCode::NOT_FOUND,
        Error::ChannelExists(_)
        | Error::CategoryExists(_)
        | Error::CategoryInUse { .. }
        | Error::NotLive(_)
        | Error::UserExists(_)
        | Error::SubjectTaken
        | Error::KeyTaken
        | Error::EnrolmentUsed
        | Error::NodeEnrolled(_)
        | Error::NoSigningKey(_)
        | Error::WebhookDisabled(_)
        | Error::Full { .. }
        | Error::OutdatedDraft { .. }
        | Error::Outage(_)
        | Error::StillRunning
        | Error::SharedName(_)
        | Error::FleetFull { .. } => StatusCode::CONFLICT,
        Error::Invalid { .. } | Error::OtherNode { .. } | Error::BadBody(_) | Error::KeyUsed => {
            StatusCode::UNPROCESSABLE_ENTITY
        }
        Error::ChangedMeanwhile(_)
        | Error::DraftChanged
        | Error::UserChanged(_)
        | Error::WebhookChanged(_) => StatusCode::PRECONDITION_FAILED,
        Error::OutboxFull(_)
        | Error::SignInWaits { .. }
        | Error::TooManyCalls { .. }
        | Error::TooManyCertificates { .. }
        | Error::TooManyKeys
        | Error::TooManySearches => StatusCode::TOO_MANY_REQUESTS,
        Error::BadRequest(_) | Error::OidcState => StatusCode::BAD_REQUEST,
        Error::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        Error::TooSlow => StatusCode::REQUEST_TIMEOUT,
        Error::NoToken
        | Error::WrongToken
        | Error::WrongPassword
        | Error::SessionOver
        | Error::WrongEnrolment
        | Error::EnrolmentOver
        | Error::UnknownCertificate => StatusCode::UNAUTHORIZED,
        Error::NotANodes
        | Error::NodeEvents
        | Error::WrongScope { .. }
        | Error::OtherChannel { .. }
        | Error::OtherNodes { .. }
        | Error::OtherNodesPath { .. }
        | Error::RevokedNode(_)
        | Error::NodeTokensOff
        | Error::WrongOldPassword
        | Error::UserDisabled(_)
        | Error::CrossSite
        | Error::OidcRefused(_)
        | Error::OidcToken(_)
        | Error::OidcNoScope
        | Error::NotOfOurs { .. }
        | Error::NameTaken { .. }
        | Error::NoTokenForIp => StatusCode::FORBIDDEN,
        Error::OidcProvider { .. } => StatusCode::BAD_GATEWAY,
        Error::MethodNotAllowed(_) | Error::PageMethod(_) => StatusCode::METHOD_NOT_ALLOWED,
        Error::NoPages | Error::Store { .. } | Error::Busy => StatusCode::SERVICE_UNAVAILABLE,
        Error::DamagedStore { .. }
        | Error::DataDir { .. }
        | Error::OpenStore { .. }
        | Error::MigrateStore { .. }
        | Error::NewerStore { .. }
        | Error::NoStore { .. }
        | Error::StoreNotEmpty { .. }
        | Error::StoreInUse { .. }
        | Error::NewerBackup { .. }
        | Error::DamagedBackup { .. }
        | Error::ReadBackup { .. }
        | Error::WriteBackup { .. }
        | Error::TokenFile { .. }
        | Error::WeakToken { .. }
        | Error::ReadGeo { .. }
        | Error::Geo(_)
        | Error::ListenDns { .. }
        | Error::DnsName { .. }
        | Error::Authority(_)
        | Error::Dns(_)
        | Error::Sign
        | Error::Unhashable
        | Error::Service(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
