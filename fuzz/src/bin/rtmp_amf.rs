//! AMF0 values of RTMP commands.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| nearcast_media::rtmp::amf::fuzz(data));
