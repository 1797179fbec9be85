//! The FastCGI gateway: real web servers in front of `cutover serve`, and requests by hand.

#![expect(clippy::disallowed_methods, reason = "tests flip and look as other tools do")]

mod behaves;
mod by_hand;
mod front;
mod hand_over;
mod paths;
mod promise;
mod stand;
mod wire;
