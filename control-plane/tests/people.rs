//! Somebody at a terminal, with the program itself on both sides: users are made, sign in, and are who they say.

#![allow(clippy::unwrap_used, reason = "a test's helpers may panic; clippy only knows the tests themselves")]

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

const ADMIN: &str = "admin-token-of-the-tests";

/// A running control plane; killed when dropped.
struct Control {
    child: Child,
    url: String,
}

/// What a command ended with.
struct Said {
    code: Option<i32>,
    out: String,
    error: String,
}

impl Control {
    /// Starts it and reads its log up to the line that says where the API is.
    fn start(directory: &Path) -> Self {
        let mut command = program();
        command.env("NEARCAST_DATA_DIR", directory).env("NEARCAST_DNS__LISTEN", "127.0.0.1:0");
        command.env("NEARCAST_API__ADMIN_TOKEN", ADMIN);
        command.env("NEARCAST_HTTP__PLAIN_LISTEN", "127.0.0.1:0").env("NEARCAST_OPS__LISTEN", "");
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let url =
            lines.find_map(|line| line.split_once("API and pages at ").map(|(_, url)| url.trim().to_owned()));
        // The rest of the log has to go somewhere, or the process would wait for a reader.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, url: url.expect("it never said where the API is") }
    }

    /// Runs a command with this standard input.
    fn ask(&self, words: &str, input: &str) -> Said {
        let mut command = program();
        command.args(words.split(' ')).env("NEARCASTCTL_URL", &self.url);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // Who asks for nothing may have ended before.
        let _ended = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Said { code: output.status.code(), out: text(output.stdout), error: text(output.stderr) }
    }

    fn done(&self, words: &str, input: &str) -> String {
        let Said { code, out, error } = self.ask(words, input);
        assert_eq!(code, Some(0), "{words}: {out}{error}");
        out
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        let _gone_already = self.child.kill();
        let _reaped = self.child.wait();
    }
}

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nearcast-control"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("NEARCAST")) {
        command.env_remove(name);
    }
    command
}

#[test]
fn a_user_is_made_signs_in_and_out_at_a_terminal() {
    let directory = tempfile::tempdir().unwrap();
    let control = Control::start(&directory.path().join("data"));
    let admin = format!("--token {ADMIN}");
    let made = control
        .done(&format!("user create anna --scope publisher --channel demo {admin}"), "three plain words\n");
    assert!(made.contains("publisher") && !made.contains("three plain words"), "{made}");
    let listed = control.done(&format!("user list {admin}"), "");
    assert!(listed.lines().any(|line| line.starts_with("anna ") && line.contains("demo")), "{listed}");

    let wrong = control.ask("login anna", "a wrong password\n");
    assert!(wrong.code == Some(1) && wrong.error.contains("password is wrong"), "{}", wrong.error);
    let none = control.ask("login anna", "");
    assert!(none.code == Some(1) && none.error.contains("no password"), "{}", none.error);
    let token = control.done("login anna", "three plain words");
    assert!(token.starts_with("ncs_") && token.lines().count() == 1, "{token}");

    // The file is there only afterwards, and what it had before is overwritten.
    let file = directory.path().join("token");
    std::fs::write(&file, "something long that was there before, and that everybody could read").unwrap();
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o644)).unwrap();
    let file = file.to_str().unwrap();
    let saved = control.done(&format!("login anna --save {file} --token-file {file}"), "three plain words\n");
    assert!(saved.contains(file) && !saved.contains("ncs_"), "{saved}");
    assert_eq!(std::fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    let as_anna = format!("--token-file {file}");
    let me = control.done(&format!("whoami {as_anna}"), "");
    assert!(me.contains("user:anna") && me.contains("publisher"), "{me}");
    assert_eq!(control.done(&format!("session list {as_anna}"), "").lines().count(), 3, "and the head");

    let weak =
        control.ask(&format!("user password anna --own {as_anna}"), "three plain words\npassword1234\n");
    assert!(weak.code == Some(1) && weak.error.contains("first that are tried"), "{}", weak.error);
    control
        .done(&format!("user password anna --own {as_anna}"), "three plain words\nfour other plain words\n");
    let over = control.ask(&format!("whoami {as_anna}"), "");
    assert_eq!(over.code, Some(1), "{}", over.out);
    control.done(&format!("login anna --save {file} --token-file {file}"), "four other plain words\n");
    control.done(&format!("session delete current {as_anna}"), "");
    assert_eq!(control.ask(&format!("whoami {as_anna}"), "").code, Some(1));
    control.done(&format!("user change anna --disable {admin}"), "");
    let disabled = control.ask("login anna", "four other plain words\n");
    assert!(disabled.error.contains("disabled"), "{}", disabled.error);
    control.done(&format!("user delete anna {admin}"), "");
}
