//! A real origin process, real FFmpeg publishers, and a plain HTTP client.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::Value;

/// The channel of every test, and the key that opens it.
pub(crate) const CHANNEL: &str = "demo";
pub(crate) const KEY: &str = "a-stream-key";

/// A running `nearcast-origin`, whose control plane is away: it lives from the snapshot on disk.
pub(crate) struct Origin {
    pub(crate) child: Child,
    lines: Receiver<Value>,
    /// Where publishers connect.
    pub(crate) rtmp: String,
    http: String,
    pub(crate) directory: tempfile::TempDir,
}

/// An HTTP answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Origin {
    /// Starts one with `config` added to what every test needs, and returns when it listens.
    pub(crate) fn start(config: &str) -> Self {
        Self::start_with(config, &[])
    }

    /// The same with more channels, each opened by its own name.
    pub(crate) fn start_with(config: &str, channels: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let channels = [(CHANNEL, KEY)].into_iter().chain(channels.iter().map(|name| (*name, *name)));
        let channels: Vec<String> = channels
            .map(|(name, key)| format!(r#""{name}":{{"title":"","keys":["{}"]}}"#, sha256(key)))
            .collect();
        let snapshot = format!(
            r#"{{"version":1,"zone":"nearcast.test","nodes":{{}},"channels":{{{}}}}}"#,
            channels.join(",")
        );
        std::fs::write(directory.path().join("snapshot.json"), snapshot).unwrap();
        let base = format!(
            "[rtmp]\nlisten = \"127.0.0.1:0\"\nper_address = 1000\n[rtmps]\nlisten = \"\"\n[srt]\nlisten = \"\"\n[http]\nplain_listen = \"127.0.0.1:0\"\n[ops]\nlisten = \"\"\n\
             [log]\nformat = \"json\"\nlevel = \"info,nearcast_origin=debug\"\n\
             [control]\nurl = \"http://127.0.0.1:1\"\nsnapshot = {:?}\n",
            directory.path().join("snapshot.json")
        );
        let file = directory.path().join("origin.toml");
        std::fs::write(&file, base + config).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_nearcast-origin"))
            .arg("--config")
            .arg(&file)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                eprintln!("origin: {line}");
                let _nobody_waits = sender.send(serde_json::from_str(&line).unwrap_or(Value::Null));
            }
        });
        let mut origin = Self { child, lines, rtmp: String::new(), http: String::new(), directory };
        let up = origin.logged("taking publishers");
        origin.rtmp = up["rtmp"].as_str().unwrap().to_owned();
        origin.http = up["http"].as_str().unwrap().to_owned();
        origin
    }

    /// The next log line whose message contains `text`.
    pub(crate) fn logged(&self, text: &str) -> Value {
        loop {
            let line = self.lines.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no line says {text:?}"));
            if line["message"].as_str().is_some_and(|message| message.contains(text)) {
                return line;
            }
        }
    }

    /// FFmpeg sending `seconds` of a 720p test pattern at 30 frames per second and a tone, in real time, with a
    /// keyframe each `gop` frames.
    pub(crate) fn publish(&self, key: &str, seconds: u32, gop: u32) -> Child {
        let gop = gop.to_string();
        let codecs =
            ["-c:v", "libx264", "-preset", "ultrafast", "-g", &gop, "-pix_fmt", "yuv420p", "-c:a", "aac"];
        self.publish_as(key, seconds, &codecs)
    }

    /// The same with other codecs.
    pub(crate) fn publish_as(&self, key: &str, seconds: u32, codecs: &[&str]) -> Child {
        Command::new("ffmpeg")
            .args(["-v", "error", "-re", "-f", "lavfi", "-i", "testsrc2=size=1280x720:rate=30"])
            .args(["-re", "-f", "lavfi", "-i", "sine=sample_rate=44100", "-t", &seconds.to_string()])
            .args(codecs)
            .args([
                "-flvflags",
                "no_duration_filesize",
                "-f",
                "flv",
                &format!("rtmp://{}/live/{key}", self.rtmp),
            ])
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// GET of a path.
    pub(crate) fn get(&self, path: &str) -> Answer {
        self.request("GET", path)
    }

    pub(crate) fn request(&self, method: &str, path: &str) -> Answer {
        let mut stream = TcpStream::connect(&self.http).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.http);
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
        let head = String::from_utf8(answer[..end].to_vec()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head: head.to_lowercase(), body: answer.split_off(end + 4) }
    }

    /// The folder of the channel's current broadcast, from its multivariant playlist.
    pub(crate) fn broadcast(&self) -> String {
        let answer = self.get(&format!("/live/{CHANNEL}/index.m3u8"));
        assert_eq!(answer.status, 200, "{}", answer.text());
        let text = answer.text();
        let line = text.lines().find(|line| line.ends_with("/media.m3u8") && !line.starts_with('#')).unwrap();
        format!("/live/{CHANNEL}/{}", line.split('/').next().unwrap())
    }

    /// Follows a rendition's playlist as a player does, until it holds `msn`; gives its text then.
    pub(crate) fn follow(&self, rendition: &str, msn: u64) -> String {
        let blocked = (0..msn).map(|msn| self.playlist(rendition, msn));
        blocked.for_each(drop);
        self.playlist(rendition, msn)
    }

    fn playlist(&self, rendition: &str, msn: u64) -> String {
        let answer = self.get(&format!("{rendition}/media.m3u8?_HLS_msn={msn}"));
        assert_eq!(answer.status, 200, "{rendition} {msn}: {}", answer.text());
        answer.text()
    }

    /// Writes init and all listed segments of a rendition into one file that FFmpeg can read.
    pub(crate) fn download(&self, rendition: &str, playlist: &str) -> PathBuf {
        let mut bytes = self.bytes(&format!("{rendition}/init.mp4"));
        for segment in segments(playlist) {
            bytes.extend(self.bytes(&format!("{rendition}/{segment}")));
        }
        let path = self.directory.path().join(rendition.replace('/', "_") + ".mp4");
        std::fs::write(&path, bytes).unwrap();
        path
    }

    pub(crate) fn bytes(&self, path: &str) -> Vec<u8> {
        let answer = self.get(path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        assert!(
            answer.head.contains("cache-control: public, max-age=31536000, immutable"),
            "{}",
            answer.head
        );
        answer.body
    }

    /// Process ids of the origin's children.
    pub(crate) fn children(&self) -> Vec<u32> {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        let children = tasks.flat_map(|task| std::fs::read_to_string(task.unwrap().path().join("children")));
        children
            .flat_map(|text| text.split_whitespace().map(|id| id.parse().unwrap()).collect::<Vec<_>>())
            .collect()
    }

    /// SIGTERM, and how it ended.
    pub(crate) fn stop(mut self) -> std::process::ExitStatus {
        signal(self.child.id(), "TERM");
        self.child.wait().unwrap()
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        let _already_gone = self.child.kill();
        let _already_reaped = self.child.wait();
    }
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Waits for FFmpeg and returns what it complained about.
pub(crate) fn complaint(publisher: Child) -> String {
    let Output { stderr, .. } = publisher.wait_with_output().unwrap();
    String::from_utf8_lossy(&stderr).into_owned()
}

/// Sends a signal by name to one process.
pub(crate) fn signal(id: u32, name: &str) {
    let status = Command::new("kill").args(["-s", name, &id.to_string()]).status().unwrap();
    assert!(status.success());
}

/// As the snapshot has it.
fn sha256(key: &str) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, key.as_bytes());
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// URIs of a media playlist's segments.
pub(crate) fn segments(playlist: &str) -> Vec<&str> {
    playlist.lines().filter(|line| line.ends_with(".m4s") && !line.starts_with('#')).collect()
}

/// Decodes a whole file, and returns presentation time in seconds and key flag of each packet of its one track.
pub(crate) fn packets(path: &Path) -> Vec<(f64, bool)> {
    let decoded = Command::new("ffmpeg")
        .args(["-v", "error", "-xerror", "-i"])
        .arg(path)
        .args(["-f", "null", "-"])
        .output();
    let decoded = decoded.unwrap();
    assert!(
        decoded.status.success() && decoded.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&decoded.stderr)
    );
    let probe = Command::new("ffprobe")
        .args(["-v", "error", "-show_entries", "packet=pts_time,flags", "-of", "csv=p=0"])
        .arg(path)
        .output()
        .unwrap();
    assert!(probe.status.success() && probe.stderr.is_empty(), "{}", String::from_utf8_lossy(&probe.stderr));
    let text = String::from_utf8(probe.stdout).unwrap();
    let packet = |line: &str| {
        let (time, flags) = line.split_once(',').unwrap();
        (time.parse().unwrap(), flags.starts_with('K'))
    };
    text.lines().map(packet).collect()
}

const PATIENCE: Duration = Duration::from_secs(20);
