//! HLS playlists that an edge reads.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| nearcast_media::hls::parse::fuzz(data));
