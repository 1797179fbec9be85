//! The clients against a real PHP-FPM, and against peers that misbehave.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests may fail the test by a panic")]

mod blocking;
#[cfg(feature = "async")]
mod faults;
mod fpm;
mod garbage;
#[cfg(feature = "async")]
mod pool;
#[path = "../../../prove/tests/it/port.rs"]
mod port;
#[cfg(feature = "async")]
mod serving;
#[cfg(feature = "async")]
mod streams;
