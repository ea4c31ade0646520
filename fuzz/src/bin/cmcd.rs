//! What players say of themselves in queries and headers.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| nearcast_edge::audience::cmcd::fuzz(data));
