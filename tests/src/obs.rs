//! OBS Studio publishing without a person: its own profile files, on a screen that nobody sees.

use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::json;

use crate::process::{Process, Program};

/// A running OBS and its screen. [`Process::stop`] of the first ends the broadcast as closing its window does.
#[derive(Debug)]
pub struct Obs {
    pub process: Process,
    _screen: Process,
}

impl Obs {
    /// Starts one that streams a 360p picture at 30 frames a second and silence, with the encoders that OBS itself
    /// chooses and a keyframe every 2 s, to `server` under `key`. It keeps everything it writes in `home`.
    pub async fn start(server: &str, key: &str, home: &Path, logs: &Path) -> Result<Self> {
        write(home, server, key)?;
        let mut screen = Program::system("Xvfb")
            .args(["-displayfd", "1", "-screen", "0", "1024x768x24", "-nolisten", "tcp"])
            .start(logs)
            .context("Debian: xvfb")?;
        let log = screen.log_path().to_owned();
        let number = || {
            let log = std::fs::read_to_string(&log).unwrap_or_default();
            log.lines().find_map(|line| line.trim().parse::<u32>().ok())
        };
        screen.until("a screen", async || number().is_some()).await?;
        let display = format!(":{}", number().context("no display")?);
        let process = Program::system("dbus-run-session")
            .named("obs")
            .args(["--", "obs", "--multi", "--minimize-to-tray", "--profile", NAME, "--collection", NAME])
            .args(["--startstreaming"])
            .env("DISPLAY", &display)
            .env("HOME", &home.to_string_lossy())
            .env("XDG_CONFIG_HOME", &home.join(".config").to_string_lossy())
            .env("XDG_RUNTIME_DIR", &home.to_string_lossy())
            .env("LIBGL_ALWAYS_SOFTWARE", "1")
            .env("QT_QPA_PLATFORM", "xcb")
            .start(logs)
            .context("Debian: obs-studio and dbus")?;
        Ok(Self { process, _screen: screen })
    }
}

/// What a person sets in its windows: general, profile, service, encoder, scene.
fn write(home: &Path, server: &str, key: &str) -> Result<()> {
    let root = home.join(".config/obs-studio");
    let profile = root.join("basic/profiles").join(NAME);
    let scenes = root.join("basic/scenes");
    std::fs::create_dir_all(&profile)?;
    std::fs::create_dir_all(&scenes)?;
    let global = format!(
        "[General]\nFirstRun=true\nEnableAutoUpdates=false\nLastVersion=486539266\n\
         [Basic]\nProfile={NAME}\nProfileDir={NAME}\nSceneCollection={NAME}\nSceneCollectionFile={NAME}\n\
         [BasicWindow]\nWarnBeforeStoppingStream=false\nSysTrayEnabled=false\n"
    );
    std::fs::write(root.join("global.ini"), global)?;
    let basic = format!(
        "[General]\nName={NAME}\n\
         [Video]\nBaseCX=640\nBaseCY=360\nOutputCX=640\nOutputCY=360\nFPSType=0\nFPSCommon=30\n\
         [Audio]\nSampleRate=48000\nChannelSetup=Stereo\n\
         [Output]\nMode=Advanced\nReconnect=false\n\
         [AdvOut]\nEncoder=obs_x264\nTrackIndex=1\nTrack1Bitrate=128\n"
    );
    std::fs::write(profile.join("basic.ini"), basic)?;
    let service = json!({ "type": "rtmp_custom", "settings": { "server": server, "key": key } });
    std::fs::write(profile.join("service.json"), service.to_string())?;
    let encoder = json!({ "bitrate": 800, "keyint_sec": 2, "preset": "veryfast", "rate_control": "CBR" });
    std::fs::write(profile.join("streamEncoder.json"), encoder.to_string())?;
    let colour = json!({ "id": "color_source", "versioned_id": "color_source_v3", "name": "Colour",
        "settings": { "color": 0xff_3c_14_dc_u32, "width": 640, "height": 360 } });
    let item = json!({ "id": 1, "name": "Colour", "visible": true });
    let scene = json!({ "id": "scene", "name": "Scene", "settings": { "id_counter": 1, "items": [item] } });
    let collection = json!({ "name": NAME, "current_scene": "Scene", "current_program_scene": "Scene",
        "scene_order": [{ "name": "Scene" }], "sources": [colour, scene] });
    std::fs::write(scenes.join(format!("{NAME}.json")), collection.to_string())?;
    Ok(())
}

const NAME: &str = "nearcast";
