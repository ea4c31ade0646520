//! Children that fail cost a picture and nothing else.

use std::os::unix::fs::PermissionsExt;

use nearcast_media::codec::avc;
use nearcast_service::metrics::Registry;

use super::*;

const PARAMETER_SETS: &[u8] = &[
    0, 0, 0, 1, 0x67, 0x42, 0xc0, 0x1e, 0xd9, 0x00, 0xa0, 0x47, 0xfe, 0x88, 0, 0, 0, 1, 0x68, 0xce, 0x3c,
    0x80,
];

fn video() -> TrackConfig {
    TrackConfig::Avc(avc::Config::from_annexb(PARAMETER_SETS).unwrap())
}

fn keyframe(seconds: i64) -> Frame {
    let at = seconds * 90_000;
    Frame { dts: at, pts: at, keyframe: true, data: Bytes::from_static(b"\0\0\0\x01\x65") }
}

/// A studio whose child is this shell script.
fn studio(folder: &tempfile::TempDir, script: &str, metrics: &Metrics) -> Studio {
    let program = folder.path().join("child");
    std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let transcode = transcode::Config { program, ..transcode::Config::default() };
    Studio::open(Config { processes: 1, ..Config::default() }, &transcode, metrics.clone(), &Drain::new())
}

async fn until(what: impl Fn() -> bool) {
    let mut tick = tokio::time::interval(Duration::from_millis(10));
    while !what() {
        tick.tick().await;
    }
}

#[tokio::test]
async fn a_child_that_fails_costs_a_picture_and_leaves_its_place() {
    let metrics = Metrics::register(&Registry::new());
    for script in ["exit 1", "exec head -c 100000 /dev/zero", "cat >/dev/null; echo hello", "kill -9 $$"] {
        let folder = tempfile::tempdir().unwrap();
        let studio = studio(&folder, script, &metrics);
        let (one, other) = ("one".parse().unwrap(), "other".parse().unwrap());
        let (one, other) = (studio.begin(&one, Some(&video()), 0), studio.begin(&other, Some(&video()), 0));
        let before = metrics.failed.get();
        for seconds in [0, 20] {
            for thumbs in [&one, &other] {
                let expected = metrics.failed.get() + 1;
                thumbs.see(&keyframe(seconds), || None);
                until(|| metrics.failed.get() >= expected).await;
            }
        }
        assert_eq!(metrics.failed.get(), before + 4, "{script}");
        assert_eq!(one.newest(), Err(Absent::NoPicture), "{script}");
    }
    assert_eq!((metrics.pictures.get(), metrics.memory_bytes.get(), metrics.skipped.get()), (0, 0, 0));
}

#[tokio::test]
async fn while_a_child_hangs_pictures_are_left_out_and_no_other_runs() {
    let metrics = Metrics::register(&Registry::new());
    let folder = tempfile::tempdir().unwrap();
    let marks = folder.path().join("marks");
    let studio = studio(&folder, &format!("echo >> {}; exec sleep 60", marks.display()), &metrics);
    let (one, other) = ("one".parse().unwrap(), "other".parse().unwrap());
    let (one, other) = (studio.begin(&one, Some(&video()), 0), studio.begin(&other, Some(&video()), 0));
    let started = || std::fs::read(&marks).map_or(0, |marks| marks.len());
    one.see(&keyframe(0), || None);
    until(|| started() == 1).await;
    other.see(&keyframe(0), || None);
    for seconds in 1..100 {
        one.see(&keyframe(seconds), || None);
    }
    // One of ten intervals waits.
    assert_eq!(metrics.skipped.get(), 8);
    assert_eq!((started(), metrics.failed.get()), (1, 0));
    drop((one, other));
}

#[tokio::test]
async fn what_there_will_never_be_a_picture_of_says_why() {
    let metrics = Metrics::register(&Registry::new());
    let id = "one".parse().unwrap();
    let off = Studio::none().begin(&id, Some(&video()), 0);
    off.see(&keyframe(0), || None);
    off.renew(&video());
    assert_eq!(off.newest(), Err(Absent::SwitchedOff));
    assert_eq!(off.index(None), Err(Absent::SwitchedOff));
    let folder = tempfile::tempdir().unwrap();
    let silent = studio(&folder, "", &metrics).begin(&id, None, 0);
    assert_eq!(silent.file(Thumb::Sheet { n: 0 }), Err(Absent::NoVideo));
    assert_eq!((silent.bytes(), silent.shrink(0)), (0, 0));
}
