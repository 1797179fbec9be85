//! Slot: in slot mode a release is staged into a directory that an older one had, and only what changed is replaced.
//!
//! ```text
//!   source ──> slots/.next-<id>/     only what the slot has not
//!                   │                the slot held, its names taken away, nobody in it
//!   what is displaced ──> store      so older releases can be brought back
//!                   └──> slots/a/    changed files by a rename, the rest untouched; then releases/<id> -> ../slots/a
//! ```
//! PHP knows a script by its path and its time in seconds. So what changed gets a new inode and a time later by a
//! second at least, is noted as stale before it is touched, and is invalidated in every pool before anybody runs it;
//! what did not change stays compiled for ever.
//!
//! - [`turn`]: whose slot is taken; who uses one, and waiting for them
//! - `base`: what stands in a slot now; `next`: what is to stand there; `merge`: making the one the other
//! - `keep`: what is displaced goes to the store; `restore`: an older release made from there
//! - `stale`: what PHP may still have compiled as it was before; `led`: where links have led

mod base;
pub(crate) mod keep;
mod led;
mod merge;
mod next;
mod restore;
pub(crate) mod stage;
mod stale;
pub mod turn;

pub(crate) use base::Base;
pub use restore::restore;
pub use stage::stage;
pub use stale::{StaleError, note_all, settle};
pub use turn::{SlotError, Turns};
