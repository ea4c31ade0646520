//! H.264 with closed captions: CEA-608 written into SEI messages by code of this crate alone, and read by FFmpeg.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use tokio::process::Command;

/// Six seconds of a test pattern of `height` lines, 30 frames a second, that say `text` (an even number of letters)
/// in CC1 every two seconds; to be published over and over.
pub async fn captioned(folder: &Path, height: u32, text: &str) -> Result<PathBuf> {
    let (plain, said, clip) =
        (folder.join("plain.h264"), folder.join("said.h264"), folder.join("captioned.mp4"));
    let source = format!("testsrc2=size={}x{height}:rate=30:duration=6", height * 16 / 9 / 2 * 2);
    let mut encode = ffmpeg();
    encode.args([
        "-f",
        "lavfi",
        "-i",
        &source,
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-tune",
        "zerolatency",
    ]);
    encode.args([
        "-g",
        "60",
        "-sc_threshold",
        "0",
        "-pix_fmt",
        "yuv420p",
        "-b:v",
        "600k",
        "-x264-params",
        "aud=1",
    ]);
    succeed(encode.arg(&plain)).await?;
    std::fs::write(&said, caption(&std::fs::read(&plain)?, &pairs(text)))?;
    let mut wrap = ffmpeg();
    wrap.args(["-framerate", "30", "-f", "h264", "-i"]).arg(&said).args(["-c", "copy"]);
    succeed(wrap.arg(&clip)).await?;
    Ok(clip)
}

/// What FFmpeg's caption decoder reads in the video of `file`.
pub async fn read(file: &Path) -> Result<String> {
    let movie = format!("movie={}[out+subcc]", file.display());
    let mut read = ffmpeg();
    read.args(["-f", "lavfi", "-i", &movie, "-map", "0:s", "-f", "srt", "-"]);
    let output = read.output().await.context("running ffmpeg")?;
    ensure!(output.status.success(), "ffmpeg: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

fn ffmpeg() -> Command {
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-y", "-nostdin"]);
    command
}

async fn succeed(command: &mut Command) -> Result<()> {
    let output = command.output().await.context("running ffmpeg")?;
    ensure!(output.status.success(), "ffmpeg: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// Two rolled up rows: each control code twice, as CEA-608 wants it, then the letters two by two.
fn pairs(text: &str) -> Vec<[u8; 2]> {
    let (roll_up, new_row, indent) = ([0x14, 0x25], [0x14, 0x2d], [0x14, 0x70]);
    let mut pairs = vec![roll_up, roll_up, new_row, new_row, indent, indent];
    pairs.extend(text.as_bytes().chunks_exact(2).map(|pair| [pair[0], pair[1]]));
    pairs
}

/// Puts an SEI message behind each access unit delimiter: one pair per frame, padding where nothing is said.
fn caption(stream: &[u8], pairs: &[[u8; 2]]) -> Vec<u8> {
    let delimiter = [0, 0, 0, 1, 9];
    let mut out = Vec::with_capacity(stream.len() * 2);
    let (mut at, mut frame) = (0, 0);
    while at < stream.len() {
        let here = stream[at..].starts_with(&delimiter);
        // The delimiter's one byte of content follows its header.
        let end = if here { at + 6 } else { at + 1 };
        out.extend_from_slice(&stream[at..end]);
        if here {
            out.extend_from_slice(&sei(pairs.get(frame % 60).copied().unwrap_or([0, 0])));
            frame += 1;
        }
        at = end;
    }
    out
}

/// ATSC A/53 part 4: user data "GA94" with a pair for field 1 and padding for field 2.
fn sei(pair: [u8; 2]) -> Vec<u8> {
    let [first, second] = pair.map(odd_parity);
    let mut unit = vec![0, 0, 0, 1, 6, 4, 17];
    unit.extend_from_slice(b"\xb5\x00\x31GA94\x03\x42\xff");
    unit.extend_from_slice(&[0xfc, first, second, 0xfd, 0x80, 0x80, 0xff, 0x80]);
    unit
}

fn odd_parity(byte: u8) -> u8 {
    if byte.count_ones() % 2 == 1 { byte } else { byte | 0x80 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_written_is_what_ffmpeg_reads() {
        let folder = tempfile::tempdir().unwrap();
        let clip = captioned(folder.path(), 90, "NEARCAST").await.unwrap();
        let text = read(&clip).await.unwrap();
        assert!(text.contains("NEARCAST"), "{text}");
    }
}
