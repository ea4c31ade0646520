//! A PostgreSQL of these tests' own, with a database for each.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::{AnyConnection, AssertSqlSafe, Connection, Executor};
use url::Url;

/// The URL of a new, empty database.
pub(crate) async fn database() -> Url {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let name = format!("test_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    sqlx::any::install_default_drivers();
    let mut url = server().clone();
    let mut connection = AnyConnection::connect(url.as_str()).await.unwrap();
    connection.execute(AssertSqlSafe(format!("CREATE DATABASE {name}"))).await.unwrap();
    url.set_path(&name);
    url
}

/// Runs as long as this process: it ends when its standard input does, which is never closed.
fn server() -> &'static Url {
    static SERVER: OnceLock<(Url, Child)> = OnceLock::new();
    let (url, _) = SERVER.get_or_init(|| {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/postgres");
        let mut script = Command::new(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut url = String::new();
        BufReader::new(script.stdout.take().unwrap()).read_line(&mut url).unwrap();
        (url.trim().parse().expect("scripts/postgres says why it has no URL"), script)
    });
    url
}
