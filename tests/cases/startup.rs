//! What an operator reads when a program cannot start, or cannot keep its snapshot.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, ensure};
use nearcast_tests::client::Protocol;
use nearcast_tests::player::{Until, follow, renditions};
use nearcast_tests::process::Program;
use nearcast_tests::publisher::Feed;
use nearcast_tests::world::World;

use crate::shared;

const PROGRAMS: [(&str, &str); 3] =
    [("nearcast-control", "control"), ("nearcast-origin", "origin-1"), ("nearcast-edge", "eu-1")];

#[tokio::test]
async fn a_port_in_use_is_named() -> Result<()> {
    for (program, name) in PROGRAMS {
        let config = shared().folder.join(format!("config/{name}.toml"));
        let (code, said) = start(program, "port", &config).await?;
        ensure!(code == Some(1), "{program} ended with {code:?}: {said}");
        ensure!(said.contains("127.0.0.1:") && said.contains("in use"), "{program} says: {said}");
    }
    Ok(())
}

#[tokio::test]
async fn a_config_that_cannot_be_used_is_one_line_that_says_why() -> Result<()> {
    let folder = tempfile::tempdir_in(&shared().folder)?;
    let file = |name: &str, text: &str| -> Result<PathBuf> {
        let path = folder.path().join(name);
        std::fs::write(&path, text)?;
        Ok(path)
    };
    for (program, _) in PROGRAMS {
        for (path, why) in [
            (folder.path().join("absent.toml"), "absent.toml"),
            (folder.path().to_owned(), "directory"),
            (file("unknown.toml", "[ops]\nlisten = \"127.0.0.1:0\"\nlissten = 1\n")?, "unknown.toml:3"),
            (file("type.toml", "[ops]\nlisten = 7\n")?, "type.toml:2"),
            (file("broken.toml", "[ops\n")?, "broken.toml:1"),
        ] {
            let (code, said) = start(program, "config", &path).await?;
            ensure!(code == Some(2), "{program} {} ended with {code:?}: {said}", path.display());
            let lines = said.lines().count();
            ensure!(lines == 1 && said.contains(why), "{program} on {why} says in {lines} lines: {said}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_full_disk_costs_an_edge_only_its_copy_of_the_snapshot() -> Result<()> {
    // The edge's state is on a disk of its own that has not one byte left.
    let script = "mount -t tmpfs -o size=64k tmpfs \"$0\" && \
                  cat /dev/zero >\"$0/full\" 2>/dev/null; exec \"$@\"";
    let disk = tempfile::tempdir()?;
    let path: &'static str = disk.path().to_string_lossy().into_owned().leak();
    let world = World::builder("full-disk")
        .edges(["eu-1"])
        .under("eu-1", &["unshare", "--mount", "--propagation=private", "sh", "-c", script, path])
        .state("eu-1", path)
        .start()
        .await?;
    let _publisher = world.broadcast("demo", &Feed::pattern(360)).await?;
    let viewer = world.viewer("eu-1", Protocol::H3).await?;
    let source = renditions(&viewer, "demo").await?.swap_remove(0);
    follow(&viewer, &source, Until::Segments(1)).await?.strict()?;

    let log = world.edges[0].log();
    let warnings: Vec<&str> = log.lines().filter(|line| line.contains("No space left")).collect();
    ensure!(!warnings.is_empty(), "the edge does not say that its disk is full:\n{log}");
    ensure!(warnings.len() <= 3, "it says so {} times:\n{}", warnings.len(), warnings.join("\n"));
    ensure!(warnings[0].contains(path), "it does not say where: {}", warnings[0]);
    Ok(())
}

/// Runs a program that is to fail at once; returns its exit code and all it said.
async fn start(program: &str, name: &str, config: &Path) -> Result<(Option<i32>, String)> {
    let logs = tempfile::tempdir_in(&shared().folder)?;
    let mut process = Program::ours(program)?
        .named(&format!("{program}-{name}"))
        .args(["--config".to_owned(), config.to_string_lossy().into_owned()])
        .start(logs.path())?;
    let status = process.ended(Duration::from_secs(20)).await?;
    Ok((status.code(), process.log()))
}
