//! MPEG-TS as SRT publishers send it: packets, tables, PES packets, and the streams in them.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| nearcast_media::ts::fuzz(data));
