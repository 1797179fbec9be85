//! The pinned server: each request sees exactly one release, from its first byte to its last.
//!
//! ```text
//! accept -> guard (the head's bytes) -> hyper -> route -> pin -> resolve -> reply -> last byte -> unpin
//! ```
//!
//! - the application: [`params`] (what it is told), [`fpm`] (the embedded pool it runs in)
//! - the pin: [`look`] (whether the link changed)
//! - the release: [`tree`] (its files), [`resource`] (what a path stands for), [`file`] (a file as an answer)
//! - the response: [`body`] (what it carries and the pin it holds), [`sendfile`]

pub mod body;
pub mod file;
pub mod fpm;
pub mod look;
pub mod params;
pub mod resource;
pub mod sendfile;
pub mod tree;
pub mod wire;
