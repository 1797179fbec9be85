//! The pinned server: each request sees exactly one release, from its first byte to its last.
//!
//! ```text
//! accept -> guard (the head's bytes) -> hyper -> route -> pin -> resolve -> reply -> last byte -> unpin
//! ```
//!
//! - the application: [`params`] (what it is told)
//! - the response: [`body`] (what it carries and the pin it holds), [`sendfile`]

pub mod body;
pub mod params;
pub mod sendfile;
pub mod wire;
