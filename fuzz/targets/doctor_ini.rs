//! php.ini, and what is written like it.
#![no_main]

#[path = "../src/doctor.rs"]
mod target;

libfuzzer_sys::fuzz_target!(|data: &[u8]| target::ini(data));
