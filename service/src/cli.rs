//! The command line, the same for every daemon.

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;

use lexopt::Arg;

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Run { config: Option<PathBuf> },
    Check { config: Option<PathBuf> },
    Version,
    Help,
}

/// Reads the arguments after the program's name. An error is one line that says what to do.
pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, String> {
    let mut parser = lexopt::Parser::from_args(arguments);
    let (mut config, mut check) = (None, false);
    let see_help = |error: lexopt::Error| format!("{error}; see --help");
    while let Some(argument) = parser.next().map_err(see_help)? {
        match argument {
            Arg::Long("config") | Arg::Short('c') => {
                config = Some(PathBuf::from(parser.value().map_err(see_help)?));
            }
            Arg::Long("check-config") => check = true,
            Arg::Long("version") | Arg::Short('V') => return Ok(Command::Version),
            Arg::Long("help") | Arg::Short('h') => return Ok(Command::Help),
            other => return Err(see_help(other.unexpected())),
        }
    }
    Ok(if check { Command::Check { config } } else { Command::Run { config } })
}

pub(crate) fn help(name: &str) -> String {
    format!(
        "Usage: {name} [--config FILE.toml] [--check-config]\n\n  \
           -c, --config FILE   read this TOML file; every key has a default, so none is needed\n      \
               --check-config  print the configuration in effect and exit: 0 when it is right, 2 when not\n  \
           -V, --version       print the version and exit\n  \
           -h, --help          print this and exit\n\n\
         NEARCAST_SECTION__KEY in the environment overrides a key: NEARCAST_LOG__LEVEL=debug.\n"
    )
}

/// To standard output; a closed pipe is an error, not a panic.
pub(crate) fn print(text: &str) -> Result<(), String> {
    std::io::stdout()
        .write_all(text.as_bytes())
        .map_err(|error| format!("cannot write to standard output: {error}"))
}

/// To standard error, where a log may not be set up yet.
pub(crate) fn complain(line: &str) {
    // With standard error closed there is nobody left to tell.
    let _nobody_listens = writeln!(std::io::stderr(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(arguments: &[&str]) -> Result<Command, String> {
        parse(arguments.iter().map(OsString::from))
    }

    #[test]
    fn every_form_is_understood_and_the_rest_is_refused_with_advice() {
        let file = || Some(PathBuf::from("edge.toml"));
        assert_eq!(of(&[]), Ok(Command::Run { config: None }));
        assert_eq!(of(&["--config", "edge.toml"]), Ok(Command::Run { config: file() }));
        assert_eq!(of(&["--config=edge.toml", "--check-config"]), Ok(Command::Check { config: file() }));
        assert_eq!(of(&["-V"]), Ok(Command::Version));
        assert_eq!(of(&["--help", "--nonsense"]), Ok(Command::Help));
        for wrong in [&["--port=1"][..], &["run"], &["--config"]] {
            assert!(of(wrong).unwrap_err().ends_with("see --help"), "{wrong:?}");
        }
    }
}
