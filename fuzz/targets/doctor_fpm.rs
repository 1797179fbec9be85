//! PHP-FPM's, which is also how php.ini is written.
#![no_main]

#[path = "../src/doctor.rs"]
mod target;

libfuzzer_sys::fuzz_target!(|data: &[u8]| target::fpm(data));
