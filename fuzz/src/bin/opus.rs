//! Opus configurations.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| nearcast_media::codec::opus::fuzz(data));
