//! What is on a picture file, by FFmpeg's decoder.

use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

/// The brightness of a JPEG's pixels.
#[derive(Debug, Clone)]
pub struct Luma {
    pub width: u32,
    pub height: u32,
    levels: Vec<u8>,
}

impl Luma {
    /// Decodes a JPEG file of 4:2:0 in full range; any complaint of the decoder is an error.
    pub async fn decode(file: &[u8]) -> Result<Self> {
        // From its own format to its own format, so that nothing is converted.
        let args = "-v error -f jpeg_pipe -i pipe:0 -f yuv4mpegpipe -pix_fmt yuvj420p -strict -1 pipe:1";
        let mut child = Command::new("ffmpeg")
            .args(args.split(' '))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("running ffmpeg")?;
        let mut stdin = child.stdin.take().context("no stdin")?;
        let feed = async {
            stdin.write_all(file).await?;
            drop(stdin);
            anyhow::Ok(())
        };
        let (fed, output) = tokio::join!(feed, child.wait_with_output());
        let output = output?;
        let complaints = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success() && complaints.trim().is_empty(), "ffmpeg: {complaints}");
        fed?;
        let end = output.stdout.iter().position(|byte| *byte == b'\n').context("no header")?;
        let header = std::str::from_utf8(&output.stdout[..end])?;
        let number = |letter| -> Result<u32> {
            let field = header.split(' ').find_map(|field| field.strip_prefix(letter));
            Ok(field.context("no size")?.parse()?)
        };
        let (width, height) = (number('W')?, number('H')?);
        let rest = output.stdout[end + 1..].strip_prefix(b"FRAME\n").context("no frame")?;
        let levels = rest.get(..(width * height) as usize).context("half a picture")?.to_vec();
        Ok(Self { width, height, levels })
    }

    /// The mean of a rectangle: 0 is black, 255 white.
    pub fn mean(&self, x: u32, y: u32, width: u32, height: u32) -> Result<f64> {
        ensure!(width > 0 && height > 0, "nothing to look at");
        ensure!(x + width <= self.width && y + height <= self.height, "{x},{y},{width},{height} is outside");
        let row = |y: u32| &self.levels[(y * self.width + x) as usize..][..width as usize];
        let sum: u64 = (y..y + height).flat_map(row).map(|level| u64::from(*level)).sum();
        Ok(sum as f64 / f64::from(width * height))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_picture_is_as_bright_as_it_was_made() {
        let input = "color=white:size=64x32,format=yuvj420p,drawbox=w=32:h=32:color=black:t=fill";
        let mut command = Command::new("ffmpeg");
        command.args(["-v", "error", "-f", "lavfi", "-i", input]);
        command.args(["-frames:v", "1", "-q:v", "2", "-f", "mjpeg", "-"]);
        let file = command.output().await.unwrap().stdout;
        let picture = Luma::decode(&file).await.unwrap();
        assert_eq!((picture.width, picture.height), (64, 32));
        let (left, right) = (picture.mean(0, 0, 16, 32).unwrap(), picture.mean(48, 0, 16, 32).unwrap());
        assert!(left < 20.0 && right > 230.0, "{left} {right}");
        assert!(picture.mean(32, 0, 33, 1).is_err());
        assert!(Luma::decode(&file[..file.len() / 3]).await.is_err());
        assert!(Luma::decode(b"GIF89a").await.is_err());
    }
}
