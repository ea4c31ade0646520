//! What independent decoders (ffprobe, ffmpeg) make of what viewers get.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use tokio::process::Command;

/// One decoded file.
#[derive(Debug, Clone, Deserialize)]
pub struct Stream {
    pub codec_name: String,
    pub width: Option<u32>,
    pub height: Option<u32>,
    pub sample_rate: Option<String>,
    pub channels: Option<u32>,
    /// Frames that were decoded.
    #[serde(deserialize_with = "number")]
    pub nb_read_frames: u64,
}

/// Decodes every frame of `file`, which must have one stream; any complaint of the decoder is an error.
pub async fn decode(file: &Path) -> Result<Stream> {
    let args = ["-v", "warning", "-count_frames", "-show_streams", "-of", "json"];
    let output = Command::new("ffprobe").args(args).arg(file).output().await.context("running ffprobe")?;
    let complaints = String::from_utf8_lossy(&output.stderr);
    let file = file.display();
    ensure!(output.status.success() && complaints.trim().is_empty(), "ffprobe {file}:\n{complaints}");
    #[derive(Deserialize)]
    struct Probed {
        streams: Vec<Stream>,
    }
    let mut probed: Probed = serde_json::from_slice(&output.stdout)?;
    ensure!(probed.streams.len() == 1, "{file} has {} streams", probed.streams.len());
    probed.streams.pop().context("no stream")
}

/// Decodes the first picture of `file`, which may end in the middle of what follows.
pub async fn first_picture(file: &Path) -> Result<Stream> {
    let args = ["-v", "error", "-count_frames", "-read_intervals", "%+#1", "-show_streams", "-of", "json"];
    let output = Command::new("ffprobe").args(args).arg(file).output().await.context("running ffprobe")?;
    #[derive(Deserialize)]
    struct Probed {
        streams: Vec<Stream>,
    }
    let mut probed: Probed = serde_json::from_slice(&output.stdout)?;
    let picture = probed.streams.pop().context("no stream")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        picture.nb_read_frames == 1,
        "{} gives {} pictures: {said}",
        file.display(),
        picture.nb_read_frames
    );
    Ok(picture)
}

/// Media times, in seconds, at which the picture of `file` turns white.
pub async fn flashes(file: &Path) -> Result<Vec<f64>> {
    let filter = "scale=32:18:flags=area,signalstats,metadata=print:key=lavfi.signalstats.YAVG:file=-";
    let brightness = measure(file, &["-an", "-vf", filter]).await?;
    Ok(onsets(&brightness, 200.0))
}

/// Media times, in seconds, at which the sound of `file` begins after silence.
pub async fn beeps(file: &Path) -> Result<Vec<f64>> {
    // 240 samples are 5 ms at 48 kHz.
    let filter = "asetnsamples=240,astats=metadata=1:reset=1:measure_perchannel=none:\
                  measure_overall=RMS_level,ametadata=print:key=lavfi.astats.Overall.RMS_level:file=-";
    let loudness = measure(file, &["-vn", "-af", filter]).await?;
    Ok(onsets(&loudness, -20.0))
}

/// (media time, value) of each frame, as FFmpeg's metadata filters print them.
async fn measure(file: &Path, filter: &[&str]) -> Result<Vec<(f64, f64)>> {
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-copyts", "-i"]).arg(file).args(filter).args(["-f", "null", "-"]);
    let output = command.output().await.context("running ffmpeg")?;
    let complaints = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success() && complaints.trim().is_empty(),
        "ffmpeg {}:\n{complaints}",
        file.display()
    );
    let text = String::from_utf8(output.stdout)?;
    let mut time = 0.0;
    let mut values = Vec::new();
    for line in text.lines() {
        if let Some((_, pts)) = line.split_once("pts_time:") {
            time = pts.trim().parse()?;
        } else if let Some((_, value)) = line.split_once('=') {
            // Silence is "-inf", which parses.
            values.push((time, value.trim().parse()?));
        }
    }
    ensure!(!values.is_empty(), "{} has nothing to measure", file.display());
    Ok(values)
}

/// When the value rises over `level`; one that begins there does not count, its onset was not seen.
fn onsets(values: &[(f64, f64)], level: f64) -> Vec<f64> {
    let rise = |pair: &[(f64, f64)]| match pair {
        [(_, before), (time, value)] if *before < level && *value >= level => Some(*time),
        _ => None,
    };
    values.windows(2).filter_map(rise).collect()
}

fn number<'de, D: serde::Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    let text = String::deserialize(from)?;
    text.parse().map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn make(file: &Path, input: &str, offset: &str, codec: &[&str]) {
        let mut command = Command::new("ffmpeg");
        command.args([
            "-v",
            "error",
            "-y",
            "-f",
            "lavfi",
            "-i",
            input,
            "-t",
            "5",
            "-output_ts_offset",
            offset,
        ]);
        command.args(codec).arg(file);
        assert!(command.status().await.unwrap().success());
    }

    #[tokio::test]
    async fn flashes_and_beeps_are_found_where_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let (picture, sound) = (folder.path().join("v.mkv"), folder.path().join("a.mkv"));
        let flash = "testsrc2=size=160x90:rate=30,\
                     drawbox=w=iw:h=ih:color=white:t=fill:enable='lt(mod(t,2),0.1)'";
        make(&picture, flash, "100", &["-c:v", "libx264", "-preset", "ultrafast"]).await;
        let tone = "aevalsrc=exprs='0.7*sin(2*PI*880*t)*lt(mod(t,2),0.1)':s=48000";
        make(&sound, tone, "100.1", &["-c:a", "aac"]).await;

        assert_eq!(decode(&picture).await.unwrap().nb_read_frames, 150);
        let (flashes, beeps) = (flashes(&picture).await.unwrap(), beeps(&sound).await.unwrap());
        // An encoder begins with silence of its own, so the sound's first beep has an onset.
        assert_eq!((flashes.len(), beeps.len()), (2, 3), "{flashes:?} {beeps:?}");
        for (index, (flash, beep)) in flashes.iter().zip(&beeps[1..]).enumerate() {
            let expected = 102.0 + 2.0 * index as f64;
            assert!((flash - expected).abs() < 0.002, "{flashes:?}");
            // 100 ms late, as it was made; the encoder's own delay is 21 ms.
            assert!((beep - expected - 0.1).abs() < 0.03, "{beeps:?}");
        }
    }

    #[tokio::test]
    async fn a_broken_file_does_not_decode() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("v.mkv");
        make(&file, "testsrc2=size=160x90:rate=30", "0", &["-c:v", "libx264"]).await;
        let mut bytes = std::fs::read(&file).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle..middle + 2000].fill(0);
        std::fs::write(&file, bytes).unwrap();
        assert!(decode(&file).await.is_err());
    }
}
