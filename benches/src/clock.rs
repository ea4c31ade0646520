//! A picture that carries the time it was made, in blocks large enough to survive any encoder and scaler.
//!
//! The top of the picture is two rows of 32 blocks, white for 1 and black for 0, highest bit first: the
//! low 32 bits of the milliseconds since the Unix epoch, and below them the same bits inverted.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use tokio::io::AsyncWriteExt as _;
use tokio::process::ChildStdin;
use tokio::time::{MissedTickBehavior, interval};

pub const WIDTH: usize = 1280;
pub const HEIGHT: usize = 720;
pub const FRAMES_PER_SECOND: u32 = 30;

/// Writes frames (8-bit 4:2:0 planes) at their time until the reader goes away.
pub async fn write(mut to: ChildStdin) -> Result<()> {
    let mut frame = vec![128; WIDTH * HEIGHT * 3 / 2];
    // The pipe holds less than a frame: once one has gone through, the reader is there and time begins.
    to.write_all(&frame).await?;
    let mut tick = interval(Duration::from_secs(1) / FRAMES_PER_SECOND);
    tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
    for number in 0.. {
        tick.tick().await;
        background(&mut frame, number);
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
        // The low bits are what is meant.
        stamp(&mut frame, now.as_millis() as u32);
        if to.write_all(&frame).await.is_err() {
            break;
        }
    }
    Ok(())
}

/// Something that moves, so that the encoder has a picture to work on.
fn background(frame: &mut [u8], number: usize) {
    for (y, line) in frame.chunks_exact_mut(WIDTH).take(HEIGHT).enumerate().skip(2 * BLOCK) {
        let shade = 60 + ((y / 4 + number) % 120) as u8;
        line.fill(shade);
        let at = (number * 8 + y) % (WIDTH - 64);
        if let Some(bar) = line.get_mut(at..at + 64) {
            bar.fill(220);
        }
    }
}

fn stamp(frame: &mut [u8], millis: u32) {
    for (y, line) in frame.chunks_exact_mut(WIDTH).take(2 * BLOCK).enumerate() {
        let bits = if y < BLOCK { millis } else { !millis };
        for (index, block) in line.chunks_exact_mut(BLOCK).enumerate() {
            let bit = bits >> (31 - index) & 1;
            block.fill(if bit == 1 { WHITE } else { BLACK });
        }
    }
}

/// 32 of them are a line of the picture.
const BLOCK: usize = WIDTH / 32;
/// Limits of the video range (ITU-R BT.709).
const WHITE: u8 = 235;
const BLACK: u8 = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_can_be_read_from_the_middle_of_each_block() {
        let mut frame = vec![0; WIDTH * HEIGHT * 3 / 2];
        background(&mut frame, 7);
        stamp(&mut frame, 0xdead_beef);
        let row = |y: usize| {
            (0..32).fold(0_u32, |bits, i| {
                bits << 1 | u32::from(frame[(y * BLOCK + BLOCK / 2) * WIDTH + i * BLOCK + BLOCK / 2] > 128)
            })
        };
        assert_eq!((row(0), row(1)), (0xdead_beef, !0xdead_beef));
    }
}
