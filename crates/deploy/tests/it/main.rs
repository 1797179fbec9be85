//! Stories of deploys, on real directories, hooks and PHP-FPM.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]
#![allow(
    clippy::disallowed_methods,
    reason = "tests play the other tools, which rename and link as they like"
)]

mod adopt;
mod apart;
mod bad_input;
mod crash;
mod drain;
mod fpm;
mod fsck;
mod left_running;
mod live_site;
mod opcache;
mod pack;
mod php;
#[path = "../../../prove/tests/it/port.rs"]
mod port;
mod presets;
mod reflink;
mod reproduced;
mod shop;
mod slots;
mod slots_php;
mod source;
mod stage;
mod stage_crash;
mod stage_faults;
mod staging;
mod stories;
mod trees;
mod webhooks;
