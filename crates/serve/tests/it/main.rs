//! The server's promises, on real processes and real files: one binary for all of them.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod beneath;
mod cgi;
mod files;
mod fpm;
mod resources;
mod shop;
