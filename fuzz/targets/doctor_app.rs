//! An app's cutover.toml, its cron and its deploy scripts.
#![no_main]

#[path = "../src/doctor.rs"]
mod target;

libfuzzer_sys::fuzz_target!(|data: &[u8]| target::app(data));
