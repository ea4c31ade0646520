//! Headers and names of origins that are not ours.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| nearcast_edge::proxy::conditional::fuzz(data));
