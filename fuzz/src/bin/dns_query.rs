//! DNS queries.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| nearcast_control::dns::fuzz(data));
