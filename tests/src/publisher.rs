//! Publishers: FFmpeg sending a test pattern, real footage or something broken over RTMP or SRT.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use crate::process::{Process, Program};

/// What is published.
#[derive(Debug, Clone)]
pub struct Feed {
    /// The FFmpeg that publishes.
    ffmpeg: PathBuf,
    inputs: Vec<String>,
    video: Vec<String>,
    audio: Vec<String>,
}

impl Feed {
    /// A moving test pattern with a burnt-in clock, `height` lines, 30 frames a second, a keyframe every
    /// 2 s; H.264 and stereo AAC. Every 2 s of media time the picture turns white and a tone sounds, both
    /// for a tenth of a second from the same instant.
    pub fn pattern(height: u32) -> Self {
        let flash = "drawbox=w=iw:h=ih:color=white:t=fill:enable='lt(mod(t,2),0.1)'";
        Self::picture(height, flash, "0.7*sin(2*PI*880*t)*lt(mod(t,2),0.1)")
    }

    /// The same for people: no flash, and a soft tone for each second.
    pub fn broadcast(height: u32) -> Self {
        Self::picture(height, "null", "0.1*sin(2*PI*880*t)*lt(mod(t,1),0.05)")
    }

    fn picture(height: u32, filter: &str, tone: &str) -> Self {
        let width = height * 16 / 9 / 2 * 2;
        let clock = format!(
            "drawtext=text='%{{localtime\\:%H\\\\\\:%M\\\\\\:%S}} %{{pts\\:hms}}':fontsize={}:x=(w-tw)/2:y=h*0.08:\
             fontcolor=white:box=1:boxcolor=black@0.7:boxborderw=8",
            height / 12
        );
        let video = format!("testsrc2=size={width}x{height}:rate=30,{clock},{filter}");
        // What a viewer of that size gets elsewhere: 2.5 Mbit/s for 720 lines.
        let kbits = height * height / 200;
        let (rate, max, buffer) =
            (format!("{kbits}k"), format!("{}k", kbits * 6 / 5), format!("{}k", kbits / 2));
        let audio = format!("aevalsrc=exprs='{tone}|{tone}':s=48000");
        Self {
            ffmpeg: SYSTEM.into(),
            inputs: words(&["-re", "-f", "lavfi", "-i", &video, "-re", "-f", "lavfi", "-i", &audio]),
            // Ultrafast: the publisher must not take the cores from what is tested.
            video: words(&[
                "-c:v",
                "libx264",
                "-preset",
                "ultrafast",
                "-tune",
                "zerolatency",
                "-pix_fmt",
                "yuv420p",
                "-g",
                "60",
                "-keyint_min",
                "60",
                "-sc_threshold",
                "0",
                "-b:v",
                &rate,
                "-maxrate",
                &max,
                "-bufsize",
                &buffer,
            ]),
            audio: words(&["-c:a", "aac", "-b:a", "128k"]),
        }
    }

    /// A camera's picture and sound (720p25, B-frames), over and over: `scripts/footage` has fetched it.
    pub fn footage() -> Result<Self> {
        let clip = fetched("footage")?;
        Ok(Self {
            ffmpeg: SYSTEM.into(),
            inputs: words(&["-re", "-stream_loop", "-1", "-i", &clip.to_string_lossy()]),
            video: words(&[
                "-c:v",
                "libx264",
                "-preset",
                "veryfast",
                "-bf",
                "2",
                "-pix_fmt",
                "yuv420p",
                "-g",
                "50",
                "-keyint_min",
                "50",
                "-sc_threshold",
                "0",
                "-b:v",
                "2500k",
                "-maxrate",
                "3500k",
                "-bufsize",
                "2500k",
            ]),
            audio: words(&["-c:a", "aac", "-b:a", "128k", "-ac", "2"]),
        })
    }

    /// Pictures and sound that FFmpeg reads with `inputs`, encoded as a pattern is.
    pub fn from_inputs(inputs: &[&str]) -> Self {
        Self { inputs: words(inputs), ..Self::pattern(720) }
    }

    /// With other words for the video encoder: `-c:v flv1` is a codec we do not take.
    #[must_use]
    pub fn video(mut self, options: &[&str]) -> Self {
        self.video = words(options);
        self
    }

    /// Published by an FFmpeg that speaks enhanced RTMP: `scripts/ffmpeg9` has fetched it.
    pub fn enhanced(mut self) -> Result<Self> {
        self.ffmpeg = fetched("ffmpeg9")?;
        Ok(self)
    }

    /// With other words for the audio encoder.
    #[must_use]
    pub fn audio(mut self, options: &[&str]) -> Self {
        self.audio = words(options);
        self
    }

    /// FFmpeg publishing to `url` until it is dropped; its log is `{logs}/{name}.log`.
    pub fn publish(&self, url: &str, name: &str, logs: &Path) -> Result<Process> {
        self.program(url).named(name).start(logs)
    }

    /// The FFmpeg that publishes to `url`, not started yet.
    pub fn program(&self, url: &str) -> Program {
        Program::system(&self.ffmpeg.to_string_lossy())
            .args(["-hide_banner", "-nostats", "-loglevel", "warning"])
            .args(self.inputs.clone())
            .args(self.video.clone())
            .args(self.audio.clone())
            .args(["-f", if url.starts_with("srt:") { "mpegts" } else { "flv" }, url])
    }
}

/// What `scripts/{script}` keeps outside the clone.
pub(crate) fn fetched(script: &str) -> Result<PathBuf> {
    let mut words = script.split(' ');
    let path = format!("{}/../scripts/{}", env!("CARGO_MANIFEST_DIR"), words.next().unwrap_or_default());
    let output = std::process::Command::new(path)
        .args(words)
        .output()
        .with_context(|| format!("running scripts/{script}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "it is not there, run `make setup WITH_TESTS=1`: {said}");
    Ok(String::from_utf8(output.stdout)?.trim().into())
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// Debian's.
const SYSTEM: &str = "ffmpeg";
