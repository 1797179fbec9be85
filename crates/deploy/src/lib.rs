//! The trade that deploys: from a source to a release that is live, verified and pruned.
//!
//! The promise: before the flip every failure leaves the old release live; killed anywhere, the next command finishes
//! or undoes what was begun.
//!
//! ```text
//!   source ──> store ──> stage ──> seal ──> warm ──> flip ──> verify ──> prune
//!                journal.jsonl: a line before and a line after each step, both synced
//! ```
//!
//! - before the first deploy: [`init`], [`preset`]; what other tools deployed: [`adopt`]
//! - where a tree comes from: [`source`]
//! - what is shared: [`store`] (blobs by content, an index of what was staged last)
//! - a tree becomes a release: [`stage`]
//! - what a release is, afterwards: [`diff`], [`fsck`]

pub mod adopt;
pub mod diff;
pub mod fsck;
pub mod init;
pub mod preset;
pub mod source;
pub mod stage;
pub mod store;
