pub mod error;
pub mod fleet;
pub mod keys;
pub mod store;
