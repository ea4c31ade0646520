use std::io;
use std::process::Command;

use serde::{Deserialize, Serialize};

use super::*;

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Sample {
    log: log::Config,
    ops: ops::Config,
    drain: drain::Config,
}

impl Config for Sample {
    fn log(&self) -> &log::Config {
        &self.log
    }

    fn ops(&self) -> &ops::Config {
        &self.ops
    }

    fn drain(&self) -> &drain::Config {
        &self.drain
    }

    fn check(&self) -> Result<(), String> {
        if self.drain.deadline == 0 { Err("drain.deadline is 0; give work a second".into()) } else { Ok(()) }
    }
}

/// Signals go to the whole process: one life at a time.
static LIFE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

async fn live_with(run: impl AsyncFnOnce(Sample, Daemon) -> io::Result<()>) -> String {
    let _only = LIFE.lock().await;
    // ExitCode can only be told apart by what it prints.
    format!("{:?}", live("sample", "1.0", Sample::default(), Sockets::default(), run).await)
}

fn exit(code: u8) -> String {
    format!("{:?}", ExitCode::from(code))
}

#[tokio::test]
async fn sigterm_lets_tasks_finish_and_exits_with_0() {
    let (finished, seen) = tokio::sync::oneshot::channel();
    let code = live_with(async |_, daemon: Daemon| {
        assert!(!daemon.ready.is_ready(), "not before run has returned");
        let draining = daemon.drain.draining();
        daemon.drain.spawn("work", async move {
            draining.await;
            finished.send(()).unwrap();
        });
        let ready = daemon.ready.clone();
        daemon.drain.spawn("signal", async move {
            while !ready.is_ready() {
                tokio::task::yield_now().await;
            }
            let pid = std::process::id().to_string();
            // A closed terminal is not a reason to stop.
            for signal in ["-HUP", "-TERM"] {
                assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
            }
        });
        Ok(())
    })
    .await;
    assert_eq!(code, exit(0));
    seen.await.unwrap();
}

#[tokio::test]
async fn a_part_that_cannot_go_on_drains_the_rest_and_exits_with_1() {
    let code = live_with(async |_, daemon: Daemon| {
        let other = daemon.clone();
        daemon.drain.spawn("broken", async move { other.fail(&io::Error::other("no space left")) });
        Ok(())
    })
    .await;
    assert_eq!(code, exit(1));
}

#[tokio::test]
async fn a_start_that_fails_exits_with_1() {
    assert_eq!(live_with(async |_, _| Err(io::Error::other("port in use"))).await, exit(1));
}

#[tokio::test]
async fn a_panic_in_a_task_is_counted_and_survived() {
    let code = live_with(async |_, daemon: Daemon| {
        daemon.drain.spawn("bug", async { panic!("on purpose") }).await.unwrap_err();
        assert!(!daemon.metrics.render().contains("nearcast_panics_total 0"));
        daemon.drain.begin();
        Ok(())
    })
    .await;
    assert_eq!(code, exit(0));
}

#[test]
fn a_configuration_that_cannot_work_is_refused_before_anything_starts() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sample.toml");
    let prepare = |text: &str| {
        std::fs::write(&path, text).unwrap();
        prepare::<Sample>("sample", "1.0", cli::Command::Run { config: Some(path.clone()) })
    };
    assert!(prepare("[drain]\ndeadline = 3\n").unwrap().is_some());
    assert!(prepare("[drain]\ndeadline = 0\n").unwrap_err().contains("give work a second"));
    assert!(prepare("[log]\nlevel = \"a=loud\"\n").unwrap_err().contains("log.level"));
    assert!(prepare("[dran]\n").unwrap_err().contains("sample.toml:1"));
    let missing = cli::Command::Run { config: Some("/nowhere.toml".into()) };
    assert!(super::prepare::<Sample>("sample", "1.0", missing).unwrap_err().contains("No such file"));
}
