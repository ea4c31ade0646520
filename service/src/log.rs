//! Log lines: a sentence that reads alone, fields that can be searched.

use std::error::Error;
use std::fmt;

use serde::{Deserialize, Serialize};
use tracing_subscriber::filter::{EnvFilter, LevelFilter};

/// `[log]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `text` for people, `json` for machines.
    pub format: Format,
    /// `error`, `warn`, `info`, `debug` or `trace`, or a filter such as `info,nearcast_edge=debug`.
    pub level: String,
}

/// How a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    Text,
    Json,
}

/// Prints an error and all its causes once, joined by `: `.
///
/// ```
/// # use nearcast_service::log::Chain;
/// let error = std::io::Error::other("no space left");
/// assert_eq!(Chain(&error).to_string(), "no space left");
/// ```
pub struct Chain<'a>(pub &'a (dyn Error + 'static));

impl Default for Config {
    fn default() -> Self {
        Self { format: Format::Text, level: "info".into() }
    }
}

impl Config {
    /// Says what is wrong with the level, if anything.
    pub fn check(&self) -> Result<(), String> {
        let wrong = |why: &dyn fmt::Display| {
            Err(format!("log.level {:?}: {why}; use error, warn, info, debug or trace", self.level))
        };
        // The filter takes any other word for the name of a module, and then shows nothing else.
        let bare = self.level.split(',').map(str::trim).filter(|part| !part.contains(['=', '[', ':']));
        if let Some(word) = bare.into_iter().find(|word| word.parse::<LevelFilter>().is_err()) {
            return wrong(&format_args!("{word:?} is no level"));
        }
        EnvFilter::try_new(&self.level).map(drop).or_else(|error| wrong(&Chain(&error)))
    }
}

/// Sends the process's log lines to standard error. The first call counts, later ones change nothing.
pub fn init(config: &Config) {
    let filter = EnvFilter::try_new(&config.level).unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second subscriber is refused: several daemons in one test process share the first one's.
    let _already_set = match config.format {
        Format::Text => lines.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).try_init(),
        Format::Json => lines.json().flatten_event(true).try_init(),
    };
}

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl fmt::Debug for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot save the snapshot")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn a_chain_names_every_cause_once() {
        let error = Outer(std::io::Error::other("no space left on device"));
        assert_eq!(Chain(&error).to_string(), "cannot save the snapshot: no space left on device");
    }

    #[test]
    fn a_level_that_is_none_is_refused_with_the_choices() {
        assert_eq!(Config::default().check(), Ok(()));
        for level in ["nearcast=loud", "verbose", "info,verbose"] {
            let wrong = Config { level: level.into(), ..Config::default() };
            assert!(wrong.check().unwrap_err().contains("debug"), "{level}");
        }
        let fine =
            Config { level: "warn,nearcast_edge=debug,hyper::proto=trace".into(), ..Config::default() };
        assert_eq!(fine.check(), Ok(()));
    }
}
