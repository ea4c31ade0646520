//! FLV tag bodies: audio and video messages.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| nearcast_media::flv::fuzz(data));
