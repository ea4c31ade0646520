//! What every source file keeps: one purpose, said in its first line, in at most 400 lines.

use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn every_file_says_its_purpose_first() {
    let without: Vec<_> = sources(&["rs"])
        .into_iter()
        .filter(|path| !path.ends_with("tests.rs"))
        .filter(|path| !fs::read_to_string(path).unwrap().starts_with("//! "))
        .collect();
    assert!(without.is_empty(), "begin with `//! ` and one sentence: {without:#?}");
}

#[test]
fn no_file_outgrows_its_purpose() {
    let long: Vec<_> = sources(&["rs", "ts", "tsx", "vue", "svelte", "mjs", "css"])
        .into_iter()
        .filter(|path| !path.ends_with("tests.rs") && !path.to_string_lossy().contains(".test."))
        .map(|path| (lines(&fs::read_to_string(&path).unwrap()), path))
        .filter(|(lines, _)| *lines > MAX_LINES)
        .collect();
    assert!(long.is_empty(), "over {MAX_LINES} lines, look for the second purpose: {long:#?}");
}

#[test]
fn nothing_is_left_for_later() {
    // Written in halves, or this file would be left for later itself.
    let marks = [("TO", "DO"), ("FIX", "ME"), ("XX", "X")].map(|(a, b)| format!("{a}{b}"));
    let left: Vec<_> = sources(&["rs", "ts", "tsx", "vue", "svelte", "mjs", "toml"])
        .into_iter()
        .filter(|path| {
            let text = fs::read_to_string(path).unwrap();
            // As words: TXXX is the name of an ID3 frame.
            text.split(|letter: char| !letter.is_alphanumeric())
                .any(|word| marks.iter().any(|mark| mark == word))
        })
        .collect();
    assert!(left.is_empty(), "an issue is the place for what is left: {left:#?}");
}

/// Lines before the unit tests that end a file.
fn lines(text: &str) -> usize {
    text.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or_default().lines().count()
}

/// All files of the project with one of these endings.
fn sources(endings: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let (path, name) = entry.map(|entry| (entry.path(), entry.file_name())).unwrap();
            let name = name.to_string_lossy();
            if path.is_dir() {
                if !name.starts_with('.') && !NOT_OURS.contains(&&*name) {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|ending| endings.iter().any(|e| ending == *e)) {
                found.push(path);
            }
        }
    }
    assert!(!found.is_empty());
    found
}

const MAX_LINES: usize = 400;
/// Made by tools, not by us.
const NOT_OURS: &[&str] = &["target", "node_modules", "dist", "run", "artifacts"];
