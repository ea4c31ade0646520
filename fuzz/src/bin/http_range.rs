//! Range headers.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| nearcast_edge::serve::range::fuzz(data));
