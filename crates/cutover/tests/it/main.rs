//! The real binary, as a person or a script runs it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test's helper may panic as the test itself may"
)]

mod adopts;
mod apache;
mod arrows;
mod at_a_glance;
mod crashes;
mod deploys;
mod doctor;
mod exec;
mod far;
mod flips;
mod fsck;
mod gateway;
mod host;
mod nginx;
mod packaging;
#[path = "../../../prove/tests/it/port.rs"]
mod port;
mod power_loss;
mod prove;
mod prunes;
mod recipes;
mod running;
mod serve;
mod shop;
mod slots;
mod warms;
mod web;
