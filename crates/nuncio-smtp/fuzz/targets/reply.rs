//! Any bytes to the reader of replies.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| nuncio_smtp::fuzz::replies(data));
