//! The transcode child: reads source frames from stdin, writes every rung's frames to stdout.
//!
//! One thread reads and decodes; each rung has a thread that scales and encodes. Decoded pictures are
//! shared, queues are bounded, and [`shed::Shedder`] says who goes without when they fill up. libav parses
//! strangers' bitstreams here, in a process of its own: whatever goes wrong costs one broadcast a restart.

mod captions;
mod damage;
mod decode;
mod encode;
mod libav;
mod output;
mod shed;
mod sound;
mod still;

use std::process::ExitCode;

use rustix::process::{Resource, Rlimit, Signal};

use super::wire;

/// The subcommand that makes this binary a transcode child.
pub const SUBCOMMAND: &str = "transcode";

/// A whole life: until the origin says so, closes the pipe, or dies.
pub fn main() -> ExitCode {
    match be_expendable().and_then(|()| decode::run(std::io::stdin().lock())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The origin reads this line and logs it with the broadcast's name.
            eprintln!("{}", nearcast_service::log::Chain(&error));
            ExitCode::FAILURE
        }
    }
}

/// Why a child gave up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot become a child of the origin")]
    Process(#[source] std::io::Error),
    #[error("cannot start libav")]
    Init(#[source] ffmpeg_next::Error),
    #[error("cannot read from the origin")]
    Read(#[source] std::io::Error),
    #[error("cannot write to the origin")]
    Write(#[source] std::io::Error),
    #[error("the origin broke the protocol")]
    Protocol(#[from] wire::Error),
    #[error("the origin sent a frame before the start or a second start")]
    OutOfOrder,
    #[error("cannot open a decoder for the source's configuration")]
    OpenDecoder(#[source] ffmpeg_next::Error),
    #[error("{0} source frames in a row cannot be decoded")]
    Undecodable(u32, #[source] ffmpeg_next::Error),
    #[error("cannot scale a picture of {width}x{height}")]
    Scale { width: u32, height: u32, source: ffmpeg_next::Error },
    #[error("cannot encode a {width}x{height} rendition")]
    Encode { width: u32, height: u32, source: ffmpeg_next::Error },
    #[error("cannot resample sound of {rate} Hz")]
    Resample { rate: u32, source: ffmpeg_next::Error },
    #[error("cannot encode sound of {bitrate} bits per second")]
    EncodeSound { bitrate: u32, source: ffmpeg_next::Error },
    #[error("{name} does not work here")]
    Probe { name: &'static str, source: ffmpeg_next::Error },
    #[error("the encoder gave no usable parameter sets")]
    ParameterSets(#[source] nearcast_media::Error),
    #[error("the encoder gave an unusable picture")]
    Picture(#[source] nearcast_media::Error),
    #[error("an encoder thread stopped")]
    Thread,
}

/// Dies with the origin, and is the first to go when memory runs out.
fn be_expendable() -> Result<(), Error> {
    // The signal comes when the thread ends that started us: one of the runtime's, which live as long as it.
    let linux = |error: rustix::io::Errno| Error::Process(error.into());
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).map_err(linux)?;
    // Raising one's own score is always allowed; where /proc is absent nothing is lost.
    let _absent = std::fs::write("/proc/self/oom_score_adj", "800");
    Ok(())
}

/// Bounds what a runaway codec can take.
fn limit_memory(bytes: u64) -> Result<(), Error> {
    let limit = Rlimit { current: Some(bytes), maximum: Some(bytes) };
    rustix::process::setrlimit(Resource::Data, limit).map_err(|error| Error::Process(error.into()))
}
