//! VP9 configurations.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| nearcast_media::codec::vp9::fuzz(data));
