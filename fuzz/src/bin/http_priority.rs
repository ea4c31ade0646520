//! RFC 9218 priorities.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| nearcast_service::quic::fuzz(data));
