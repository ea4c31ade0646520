//! House rules as tests: what a reviewer would otherwise have to look for.

#[cfg(test)]
mod files;
#[cfg(test)]
mod layering;
