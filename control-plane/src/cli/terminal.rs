//! Passwords from whoever sits at the terminal, unseen, or from a program by standard input.

use std::io::{BufRead, IsTerminal, Read, Write};

use rustix::termios::{self, LocalModes, OptionalActions, Termios};

/// Asks for a secret; `twice` where nobody would notice that it is misspelt.
pub(super) fn secret(prompt: &str, twice: bool) -> Result<String, String> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return line(&mut stdin.lock());
    }
    let first = ask(prompt)?;
    if twice && ask(&format!("{prompt} again"))? != first {
        return Err("these are two different passwords: nothing was changed".to_owned());
    }
    Ok(first)
}

fn ask(prompt: &str) -> Result<String, String> {
    let failed = |error: std::io::Error| format!("cannot ask for the password: {error}");
    let mut stderr = std::io::stderr();
    write!(stderr, "{prompt}: ").and_then(|()| stderr.flush()).map_err(failed)?;
    let hidden = Hidden::new().map_err(|error| failed(error.into()))?;
    let answer = line(&mut std::io::stdin().lock());
    drop(hidden);
    // The one that was typed was not shown either.
    let _nobody_listens = writeln!(stderr);
    answer
}

/// The first line, however it ends.
fn line(from: &mut impl BufRead) -> Result<String, String> {
    let mut text = String::new();
    let read = from.take(LONGEST).read_line(&mut text);
    read.map_err(|error| format!("cannot read the password: {error}"))?;
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        return Err("there is no password: type it, or write it to standard input".to_owned());
    }
    Ok(text.to_owned())
}

/// While it lives, the terminal does not show what is typed.
struct Hidden {
    before: Termios,
}

impl Hidden {
    fn new() -> rustix::io::Result<Self> {
        let before = termios::tcgetattr(std::io::stdin())?;
        let mut hidden = before.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        termios::tcsetattr(std::io::stdin(), OptionalActions::Flush, &hidden)?;
        Ok(Self { before })
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        // A terminal that is gone shows nothing.
        let _gone = termios::tcsetattr(std::io::stdin(), OptionalActions::Now, &self.before);
    }
}

/// No password is longer, in any alphabet.
const LONGEST: u64 = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_the_first_line_and_its_spaces_are_its_own() {
        for (text, password) in [(" a b \n", " a b "), ("x\r\ny\n", "x"), ("x", "x")] {
            assert_eq!(line(&mut text.as_bytes()).unwrap(), password);
        }
        for text in ["", "\n", "\r\n"] {
            assert!(line(&mut text.as_bytes()).unwrap_err().contains("no password"));
        }
        assert!(line(&mut &[0xff, b'\n'][..]).is_err());
    }
}
