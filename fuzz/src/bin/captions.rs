//! Captions in pictures of H.264: messages, and the pairs of bytes in them.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| nearcast_media::codec::captions::fuzz(data));
