//! What a web server might send over a connection.
#![no_main]

#[path = "../src/server.rs"]
mod target;

libfuzzer_sys::fuzz_target!(|data: &[u8]| target::server(data));
