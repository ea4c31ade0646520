//! H.264: configuration records, parameter sets and access units.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| nearcast_media::codec::avc::fuzz(data));
