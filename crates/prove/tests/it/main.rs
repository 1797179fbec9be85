//! The prover against real servers, and against fakes where a fault must be injected.

mod faults;
mod stack;
mod stacks;
