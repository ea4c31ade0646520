//! What an origin and its transcode child say to each other.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| nearcast_origin::transcode::wire::fuzz(data));
