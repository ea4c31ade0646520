//! RTMP chunks, put together to messages.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| nearcast_media::rtmp::chunk::fuzz(data));
