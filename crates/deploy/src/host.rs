//! Host: a deploy, or another command, on one server, led from elsewhere: from a laptop, or from CI.
//!
//! ```text
//!   near: cutover deploy --to deploy@web1              far: cutover host
//!   source, build ──> tree ──list──────────────────┐
//!        │                                  ssh    ├──> mirror ──> stage ──> seal ──> warm ──> flip ──> …
//!        └──────── contents it lacks ──────────────┘        the same engine, journal, lock and hooks
//! ```
//! The rules: one connection, one process at the far end, no command per step; the far end needs nothing but a shell;
//! a far end that is left alone undoes what it has not flipped, and finishes what it has.
//!
//! - the two ends of a deploy: [`session`] (here), [`lead`] (there, what the engine sees)
//! - the tree: [`walk`] (here), [`list`] (as it is sent), [`mirror`] (there), [`preview`] (what it would change)
//! - the wire: [`frame`], [`link`], [`stream`], [`message`]; reaching it: [`ssh`], [`program`], [`house`]

pub mod frame;
pub mod house;
pub mod lead;
pub mod link;
pub mod list;
pub mod message;
pub mod mirror;
pub mod preview;
pub mod program;
mod script;
pub mod session;
pub mod ssh;
pub mod stream;
pub mod walk;
