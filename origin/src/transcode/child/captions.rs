//! Closed captions on their way from decoded pictures to a rung's: none is lost with a picture that the rung leaves out.

use ffmpeg_next::frame;

use super::libav;

/// Caption bytes that wait for the rung's next picture.
#[derive(Default)]
pub(super) struct Captions(Vec<u8>);

impl Captions {
    /// Takes what a decoded picture carries. When more waits than one picture can carry, the oldest go.
    pub(super) fn take(&mut self, picture: &frame::Video) {
        let Some(captions) = picture.side_data(libav::CAPTIONS) else { return };
        self.0.extend_from_slice(captions.data());
        let excess = self.0.len().saturating_sub(MAX_BYTES);
        self.0.drain(..excess);
    }

    /// Gives all to a picture that is about to be encoded, instead of what the one before it had.
    pub(super) fn give(&mut self, picture: &mut frame::Video) -> Result<(), ffmpeg_next::Error> {
        libav::set_captions(picture, &self.0)?;
        self.0.clear();
        Ok(())
    }
}

/// `cc_count` has five bits, and there are three bytes to each (ATSC A/53 part 4 §6.2.3).
const MAX_BYTES: usize = 31 * 3;
