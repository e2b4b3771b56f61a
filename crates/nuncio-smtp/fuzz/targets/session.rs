//! Any server to a session.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| nuncio_smtp::fuzz::session(data));
