//! Paths of media requests.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| nearcast_media::path::fuzz(data));
