//! Playback tokens, and where a request has one.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| nearcast_edge::access::token::fuzz(data));
