//! The FastCGI gateway: real web servers in front of `cutover serve`, and requests by hand.

#![expect(clippy::disallowed_methods, reason = "tests flip and look as other tools do")]

mod behaves;
mod by_hand;
mod caged;
mod faults;
mod front;
mod hand_over;
mod kept;
mod large;
mod leaves;
mod masters;
mod passed;
mod paths;
mod pool;
mod promise;
mod resolved;
mod stand;
mod wire;
