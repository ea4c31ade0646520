//! What a strict player finds wrong: it notes and goes on, so that one run shows every fault.

use std::fmt;

/// Broken rules, in the order they were seen.
#[derive(Debug, Default, Clone)]
pub struct Findings {
    all: Vec<String>,
    context: String,
}

impl Findings {
    /// What the following findings are about.
    pub fn about(&mut self, context: impl Into<String>) {
        self.context = context.into();
    }

    /// Notes `message` unless `kept`.
    pub fn check(&mut self, kept: bool, message: impl FnOnce() -> String) {
        // A fault of every playlist would be noted hundreds of times.
        if !kept && self.all.len() < MAX {
            self.all.push(format!("{}: {}", self.context, message()));
        }
    }

    /// True when every rule was kept.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Forgets the findings with one of these texts in them.
    pub fn forgive(&mut self, texts: &[&str]) {
        self.all.retain(|finding| !texts.iter().any(|text| finding.contains(text)));
    }

    /// Takes over what `other` found.
    pub fn merge(&mut self, other: Self) {
        self.all.extend(other.all);
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.all {
            writeln!(f, "- {finding}")?;
        }
        Ok(())
    }
}

const MAX: usize = 40;
