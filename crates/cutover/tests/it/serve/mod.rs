//! A running `cutover serve`, as its visitors and its operator meet it.

#![expect(clippy::disallowed_methods, reason = "tests flip and break links as other tools do")]

mod broken_links;
mod cache_room;
mod cgi;
pub mod client;
mod embedded;
pub mod hand_over;
mod masters;
mod operations;
mod php;
mod php_faults;
mod promise;
mod refusals;
mod rules;
pub mod server;
mod static_files;
mod transport;
mod version_keys;
mod warm;
