//! Delivery directives of playlist requests.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| nearcast_media::hls::request::fuzz(data));
