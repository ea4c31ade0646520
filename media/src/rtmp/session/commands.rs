//! The commands of a publisher (Adobe RTMP 1.0 §7.2), and those that encoders add.

use super::{DEFAULT_WINDOW, Event, Publish, Session, Stage, enhanced};
use crate::rtmp::amf::Value;
use crate::rtmp::message::Command;
use crate::rtmp::reply::information;
use crate::{Error, Result};

impl Session {
    pub(super) fn command(&mut self, command: Command) -> Result<()> {
        if self.publish.is_none() {
            self.commands = self.commands.saturating_add(1);
            if self.commands > self.limits.commands {
                return Err(Error::Limit {
                    what: "RTMP commands before a publish",
                    limit: self.limits.commands,
                });
            }
        }
        let fresh = matches!(self.stage, Stage::Fresh);
        match command.name.as_str() {
            "connect" if fresh => self.connect(&command),
            "connect" => Err(violation("connect came twice")),
            _ if fresh => Err(violation("a command came before connect")),
            "createStream" => self.create_stream(&command),
            "publish" => self.publish(&command),
            "deleteStream" => self.delete_stream(&command),
            "closeStream" | "FCUnpublish" => self.unpublish(),
            "releaseStream" | "FCPublish" => self.result(&command, &[Value::Null, Value::Undefined]),
            "play" | "play2" => {
                self.replies.status(command.stream_id, "error", "NetStream.Play.Failed", NO_PLAY)
            }
            "_result" | "_error" | "onStatus" => Ok(()),
            _ => self.refuse(&command, "NetConnection.Call.Failed", "This server does not know the command"),
        }
    }

    fn connect(&mut self, command: &Command) -> Result<()> {
        let text = |name| command.object.get(name).and_then(Value::as_str).unwrap_or_default();
        let (app, query) = split_query(text("app"));
        if app.len() > MAX_NAME || query.len() > MAX_NAME {
            return Err(Error::Limit { what: "RTMP application name bytes", limit: MAX_NAME });
        }
        self.app = (app.trim_matches('/').to_owned(), query.to_owned());
        self.stage = Stage::Connected;
        self.events.push_back(Event::Connect {
            app: self.app.0.clone(),
            tc_url: cut(text("tcUrl")),
            encoder: cut(text("flashVer")),
        });
        self.replies.window(DEFAULT_WINDOW)?;
        self.replies.set_chunk_size(CHUNK_SIZE)?;
        let server =
            [("fmsVer", "FMS/3,5,7,7009".into()), ("capabilities", 31.0.into()), ("mode", 1.0.into())];
        let server = server.map(|(name, value): (&str, Value)| (name.to_owned(), value)).to_vec();
        let mut info = information("status", "NetConnection.Connect.Success", "Connected");
        info.push(("objectEncoding".to_owned(), 0.0.into()));
        if enhanced::is_offered(&command.object) {
            info.extend(enhanced::answer());
        }
        self.result(command, &[Value::Object(server), Value::Object(info)])
    }

    fn create_stream(&mut self, command: &Command) -> Result<()> {
        if self.streams.len() >= self.limits.streams {
            return Err(Error::Limit { what: "RTMP message streams", limit: self.limits.streams });
        }
        self.streams_made = self.streams_made.saturating_add(1);
        self.streams.push(self.streams_made);
        self.result(command, &[Value::Null, f64::from(self.streams_made).into()])
    }

    fn publish(&mut self, command: &Command) -> Result<()> {
        let stream_id = command.stream_id;
        let bad_name = |session: &mut Self, why| {
            session.replies.status(stream_id, "error", "NetStream.Publish.BadName", why)
        };
        if self.publish.is_some() {
            return bad_name(self, "This connection publishes already: open another one for a second stream");
        }
        if !self.streams.contains(&stream_id) {
            return bad_name(self, "There is no such message stream: createStream comes before publish");
        }
        let name = command.arguments.first().and_then(Value::as_str).unwrap_or_default();
        let (key, query) = split_query(name);
        let key = key.trim_start_matches('/');
        if key.is_empty() || name.len() > MAX_NAME {
            return bad_name(
                self,
                "The stream key is missing or too long: set the one that the channel was given",
            );
        }
        let query = if query.is_empty() { self.app.1.as_str() } else { query };
        let event = Event::Publish { app: self.app.0.clone(), key: key.to_owned(), query: query.to_owned() };
        self.events.push_back(event);
        self.publish = Some(Publish { stream_id, live: false });
        Ok(())
    }

    fn delete_stream(&mut self, command: &Command) -> Result<()> {
        let id = command.arguments.first().and_then(Value::as_number).unwrap_or_default();
        self.streams.retain(|stream| f64::from(*stream) != id);
        match &self.publish {
            Some(publish) if f64::from(publish.stream_id) == id => self.unpublish(),
            _ => Ok(()),
        }
    }

    fn unpublish(&mut self) -> Result<()> {
        let Some(publish) = self.publish.take() else { return Ok(()) };
        self.events.push_back(Event::Unpublish);
        self.replies.status(publish.stream_id, "status", "NetStream.Unpublish.Success", "Stopped")
    }

    /// Answers a command, when it asks for an answer.
    fn result(&mut self, command: &Command, values: &[Value]) -> Result<()> {
        if command.transaction == 0.0 {
            return Ok(());
        }
        self.replies.command(0, "_result", command.transaction, values)
    }

    fn refuse(&mut self, command: &Command, code: &str, description: &str) -> Result<()> {
        if command.transaction == 0.0 {
            return Ok(());
        }
        let info = Value::Object(information("error", code, description));
        self.replies.command(0, "_error", command.transaction, &[Value::Null, info])
    }
}

/// What is before and behind the first question mark.
fn split_query(name: &str) -> (&str, &str) {
    name.split_once('?').unwrap_or((name, ""))
}

/// At most [`MAX_NAME`] bytes of a text that is only shown.
fn cut(text: &str) -> String {
    text.get(..text.floor_char_boundary(MAX_NAME)).unwrap_or_default().to_owned()
}

fn violation(problem: &'static str) -> Error {
    Error::Protocol { protocol: "RTMP", problem }
}

const NO_PLAY: &str = "This server takes streams and does not play them over RTMP: watch over HLS";
/// Names and their queries, which may hold a signed token.
const MAX_NAME: usize = 2_048;
/// Holds every reply in one chunk.
const CHUNK_SIZE: u32 = 4_096;
