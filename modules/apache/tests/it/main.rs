//! mod_cutover inside of a real Apache that the tests start: each cell of what mod_realdoc got right and wrong.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]
#![allow(
    clippy::disallowed_methods,
    reason = "tests play the other tools, which rename and link as they like"
)]

mod apache;
mod fpm;
mod http;
mod shop;

mod directory;
mod doctor;
mod hosts;
mod judged;
mod layout;
mod leases;
mod links;
mod named;
#[path = "../../../../crates/prove/tests/it/port.rs"]
mod port;
mod reach;
mod restarts;
mod watched;
mod words;
