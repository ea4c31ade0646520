//! Which process a QUIC packet belongs to, and packets that another process passes on.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| nearcast_service::quic::handover::fuzz(data));
