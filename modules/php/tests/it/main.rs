//! The extension in real PHPs: on the command line, under php-fpm, inside Apache.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]
#![allow(
    clippy::disallowed_methods,
    reason = "tests play the other tools, which rename and link as they like"
)]

mod apache;
mod beside;
mod borders;
mod builds;
mod chain;
mod cli;
mod fpm;
mod growth;
mod http;
mod layout;
mod load;
mod mod_php;
mod page;
mod php;
mod pools;
#[path = "../../../../crates/prove/tests/it/port.rs"]
mod port;
mod requests;
mod shop;
mod web_server;

// What is pure is tested where it stands, which cannot be in the module itself: its symbols are PHP's.
#[path = "../../src/include_path.rs"]
#[allow(dead_code, reason = "only its own tests are wanted")]
mod include_path;
#[path = "../../src/settings.rs"]
#[allow(dead_code, reason = "only its own tests are wanted")]
mod settings;
#[path = "../../src/zend.rs"]
#[allow(dead_code, unused_imports, reason = "only what it says of PHP's layout is wanted")]
mod zend;
