//! What the crate promises, told on real directories, links, locks and processes.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]
#![allow(
    clippy::disallowed_methods,
    reason = "tests play the other tools, which rename and link as they like"
)]

mod actor;
mod crash;
mod flip;
mod history;
mod live;
mod model;
mod pin;
mod prune;
mod resting;
mod seal;
mod shop;
mod slot;
