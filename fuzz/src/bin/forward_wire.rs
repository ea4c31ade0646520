//! What origins say to each other about a publisher.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| nearcast_origin::ingest::forward::wire::fuzz(data));
