//! Files of the edge's second tier.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| nearcast_edge::cache::disk::file::fuzz(data));
