//! AV1 configurations.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| nearcast_media::codec::av1::fuzz(data));
