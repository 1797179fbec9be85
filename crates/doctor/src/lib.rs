//! The doctor: finds what will break a deploy before it does, and says which lines to change.
//!
//! The promise: it only reads; what it could not look at it says; it never presents a guess as a fact.
//!
//! ```text
//!   machine ──> facts ──> checks ──> findings ──> render
//!   all I/O     parsed    pure       what, where,  terminal, JSON, …
//!   (here, or             one file   the fix
//!   as recorded)          each
//! ```
//!
//! The rules: only [`machine`] touches a disk, a process or a socket, and it knows no way to write; only [`facts`] asks
//! it; a check is a function of the facts, with an id, a fixture that it must find, one that it must not, and a page in
//! `docs/doctor/`. Apart from that stands [`live`], which asks a site and no machine.
//!
//! - what is looked at: [`machine`], [`source`] (a file and the places in it), [`facts`]
//! - what is judged: [`check`], [`checks`]
//! - what is told: [`finding`], [`report`], [`mute`] (what is known and accepted), [`patch`] (what fixes change),
//!   [`sizing`], [`live`], [`render`]

pub mod check;
pub mod checks;
pub mod facts;
pub mod finding;
pub mod live;
pub mod machine;
pub mod mute;
pub mod patch;
pub mod render;
pub mod report;
pub mod sizing;
pub mod source;

pub use check::{Check, Severity, Verdict};
pub use facts::{Facts, Targets};
pub use finding::{Blind, Finding, Fix};
pub use machine::Machine;
pub use report::Report;
pub use source::Span;
