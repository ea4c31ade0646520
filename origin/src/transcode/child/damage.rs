//! Frames that cannot be decoded: told one by one, and too many in a row are the end.

use super::Error;
use super::output::Output;
use crate::transcode::wire::Reply;

/// How many the newest are.
#[derive(Debug, Default)]
pub(super) struct Damage(u32);

impl Damage {
    /// Takes what the decoder said of a frame.
    pub(super) fn count(
        &mut self,
        sent: Result<(), ffmpeg_next::Error>,
        output: &Output,
    ) -> Result<(), Error> {
        let Err(error) = sent else {
            self.0 = 0;
            return Ok(());
        };
        self.0 += 1;
        if self.0 > MOST {
            return Err(Error::Undecodable(self.0, error));
        }
        output.send(&Reply::Damaged { frames: 1 })
    }
}

/// Two seconds of pictures at 30 a second: a loss of signal passes, a stream that is not what it says does not.
const MOST: u32 = 60;
