//! A broadcast's small pictures, as they are.

use nearcast_media::path::{Resource, Thumb};
use nearcast_service::http::Response;

use super::respond::{self, Refusal};
use super::{FAILURE_LIFE, Live};

impl Live {
    /// The answer, if it is a picture that is asked for or the list of them.
    pub(super) fn thumbs(&self, resource: &Resource<'_>) -> Option<Response> {
        let answer = match *resource {
            Resource::Poster { channel } => self.poster(channel),
            Resource::Thumb { channel, broadcast, file } => self.thumb(channel, broadcast, file),
            _ => return None,
        };
        Some(answer.unwrap_or_else(|refusal| refusal.respond(FAILURE_LIFE)))
    }

    /// What is on the air, so nothing of a broadcast that is over.
    fn poster(&self, channel: &str) -> Result<Response, Refusal> {
        let broadcast = self.channels.current(channel).filter(|broadcast| !broadcast.is_over());
        let newest = broadcast.ok_or(Refusal::NotLive)?.thumbs().newest();
        newest.map(|(file, life)| respond::poster(file, life)).map_err(Refusal::NoPicture)
    }

    fn thumb(&self, channel: &str, broadcast: &str, file: Thumb) -> Result<Response, Refusal> {
        let broadcast = self.channels.broadcast(channel, broadcast).ok_or(Refusal::NoBroadcast)?;
        let thumbs = broadcast.thumbs();
        let answer = match file {
            Thumb::Index => {
                thumbs.index(broadcast.timeline()).map(|(text, life)| respond::cues(text.into(), life))
            }
            Thumb::Picture { .. } | Thumb::Sheet { .. } => thumbs.file(file).map(respond::picture),
        };
        answer.map_err(Refusal::NoPicture)
    }
}
