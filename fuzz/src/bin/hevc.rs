//! HEVC: configuration records and parameter sets.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| nearcast_media::codec::hevc::fuzz(data));
