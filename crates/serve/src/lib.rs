//! The pinned server: each request sees exactly one release, from its first byte to its last.
//!
//! ```text
//! accept -> guard (the head's bytes) -> hyper -> route -> pin -> resolve -> reply -> last byte -> unpin
//! ```
//!
//! - the response: [`body`] (what it carries and the pin it holds), [`sendfile`]

pub mod body;
pub mod sendfile;
pub mod wire;
