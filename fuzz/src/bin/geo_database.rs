//! MaxMind-format databases.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| nearcast_geo::fuzz_database(data));
