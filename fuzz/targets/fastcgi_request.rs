//! What a client might send.
#![no_main]

#[path = "../src/fastcgi.rs"]
mod target;

libfuzzer_sys::fuzz_target!(|data: &[u8]| target::request(data));
