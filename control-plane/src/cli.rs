//! `nearcast-control channel create demo`: the API from a terminal, in the same binary.

mod access;
mod audience;
mod backup;
mod call;
mod channels;
mod commands;
mod directory;
mod enrolment;
mod keys;
mod network;
mod table;
mod terminal;
mod topology;
mod users;
mod viewers;
mod webhooks;

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser};

use self::commands::{Command, Other};

/// Ask a running control plane.
#[derive(Debug, Parser)]
#[command(
    name = "nearcast-control",
    version,
    after_help = "Without a command it is the control plane itself: nearcast-control --config FILE.toml (see --help)."
)]
struct Cli {
    #[command(flatten)]
    access: Access,
    #[command(subcommand)]
    command: Command,
}

/// Where the control plane is, and who asks.
#[derive(Debug, Args)]
struct Access {
    /// Base URL of the control plane.
    #[arg(long, global = true, env = "NEARCASTCTL_URL", default_value = "http://127.0.0.1:8080")]
    url: String,
    /// The admin token, or one that `token create` has made; $NEARCASTCTL_TOKEN when left out.
    #[arg(long, global = true)]
    token: Option<String>,
    /// A file that holds it, such as admin-token in the control plane's data directory; $NEARCASTCTL_TOKEN_FILE when both are
    /// left out.
    #[arg(long, global = true, conflicts_with = "token")]
    token_file: Option<PathBuf>,
    /// Who asks has no token yet.
    #[arg(skip)]
    anonymous: bool,
    /// PEM file of the authorities to trust in https://; the system's when left out.
    #[arg(long, global = true, env = "NEARCASTCTL_CA")]
    ca: Option<PathBuf>,
    /// Print what the API answers instead of a table.
    #[arg(long, global = true)]
    json: bool,
}

/// Does what the command line asks, if that is a command; else this process is to be the control plane.
///
/// Exit codes: 0 when it is done, 1 when the control plane refuses or cannot be reached, 2 when the command line is wrong.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> Option<ExitCode> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    // The control plane itself takes no words, and none of these options.
    let first = arguments.get(1)?.to_str()?;
    let option = first.split('=').next().unwrap_or(first);
    if first.starts_with('-') && !OPTIONS.contains(&option) {
        return None;
    }
    Some(match Cli::try_parse_from(arguments) {
        Ok(cli) => finish(cli),
        Err(error) => {
            // With standard output or error closed there is nobody left to tell.
            let _nobody_listens = error.print();
            ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
        }
    })
}

fn finish(Cli { mut access, mut command }: Cli) -> ExitCode {
    if command.is_open() {
        // The file may be the one that is to be written.
        access.anonymous = true;
    }
    let said = match command.ask().map(|()| command.plan()) {
        Ok(Ok(plan)) => call::send(&access, plan),
        Err(problem) => Err(problem),
        Ok(Err(Other::Database(work))) => work.run(),
        Ok(Err(Other::Completions(shell))) => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "nearcast-control", &mut script);
            Ok(String::from_utf8_lossy(&script).into_owned())
        }
    };
    match said {
        Ok(text) => match std::io::stdout().write_all(text.as_bytes()) {
            Ok(()) => ExitCode::SUCCESS,
            // A pager that was closed.
            Err(_) => ExitCode::FAILURE,
        },
        Err(problem) => {
            let _nobody_listens = writeln!(std::io::stderr(), "nearcast-control: {problem}");
            ExitCode::FAILURE
        }
    }
}

/// Options that stand before a command, and that the control plane itself has not.
const OPTIONS: &[&str] = &["--url", "--token", "--token-file", "--ca", "--json"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_makes_sense() {
        Cli::command().debug_assert();
        assert!(run(["nearcast-control", "--config", "x.toml"].map(OsString::from)).is_none());
        assert!(run(["nearcast-control"].map(OsString::from)).is_none());
        let before = ["nearcast-control", "--json", "--token", "t", "node", "list"];
        assert!(matches!(Cli::try_parse_from(before).unwrap().command, Command::Node(_)));
    }
}
