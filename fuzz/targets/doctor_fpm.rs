//! PHP-FPM's main file, with what it includes.
#![no_main]

#[path = "../src/doctor.rs"]
mod target;

libfuzzer_sys::fuzz_target!(|data: &[u8]| target::fpm(data));
