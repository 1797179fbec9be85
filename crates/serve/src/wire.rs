//! The bytes of a connection: the socket, the guard before the parser, and who waits for what.

pub mod activity;
pub mod chunks;
pub mod guard;
pub mod head;
pub mod stream;
pub mod transport;
