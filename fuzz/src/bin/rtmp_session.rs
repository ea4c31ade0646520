//! All that an RTMP publisher sends behind its handshake.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| nearcast_media::rtmp::session::fuzz(data));
