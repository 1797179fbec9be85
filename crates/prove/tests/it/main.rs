//! The prover against real servers, and against fakes where a fault must be injected.
#![allow(clippy::unwrap_used, reason = "a test's helper may panic as the test itself may")]

mod faults;
mod peer;
mod port;
mod probe;
mod protocols;
mod runs;
mod stack;
mod stacks;
