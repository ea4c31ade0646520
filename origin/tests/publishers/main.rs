//! Publishers of every shape, and some that are not publishers at all, against a whole origin.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

mod hostile;
mod sender;
mod shapes;
#[path = "../support/mod.rs"]
#[allow(dead_code, reason = "each test program uses a part of it")]
mod support;
