//! The doctor's tests: fixtures, and real servers.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests may fail the test by a panic")]

mod apache;
mod bombs;
mod caddy;
mod container;
mod fixtures;
mod frameworks;
mod garbage;
mod hostile;
mod lighttpd;
mod live;
mod nginx;
mod php;
mod php_found;
mod php_fpm;
mod php_hang;
mod shop;
mod told;
mod web;
