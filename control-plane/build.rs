//! Rebuilds when the migrations or the web pages that are compiled in change; cargo sees neither by itself.

use std::path::Path;

fn main() {
    let pages = Path::new("../web/dist");
    // Watching a path that does not exist makes cargo build this crate anew each time. A source tree that cannot be
    // written is built without pages all the same.
    let _best_effort = std::fs::create_dir_all(pages);
    let watch = ["build.rs", "migrations", "../web/dist"];
    // What cargo reads from a build script is its standard output.
    let lines: String = watch.iter().map(|path| format!("cargo::rerun-if-changed={path}\n")).collect();
    let _ignored = std::io::Write::write_all(&mut std::io::stdout(), lines.as_bytes());
}
