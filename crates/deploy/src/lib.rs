//! The trade that deploys: from a source to a release that is live, verified and pruned.
//!
//! The promise: before the flip every failure leaves the old release live; after it a failed check flips back; killed
//! anywhere, the next command finishes or undoes what was begun.
//!
//! ```text
//!   build ──> stage ──> seal ──> warm ──> flip ──> verify ──> settle ──> prune
//!     └─────────┴────────┴────────┴────────┘          └──> flip back
//!                  undo
//!
//! .cutover/
//!   journal.jsonl     the deploy in hand: a line before and a line after each step, both synced
//!   records/<id>      what a release is made of, and how long each step took
//!   logs/<id>/        what its commands printed
//!   work/ cache/      where it is built; what build commands keep
//!   running           the command that is run at this moment
//!   drained           the host is out of its load balancer
//!   frozen            the Freeze
//! ```
//!
//! The rules: [`phase`] decides and [`step`] does; a step looks before it acts, so that it can be run again; nothing
//! is printed here, whoever runs a deploy watches its [`event`]s.
//!
//! - before the first deploy: [`init`], [`preset`]; what other tools deployed: [`adopt`]
//! - a tree becomes a release: [`source`], [`stage`], [`store`] (blobs by content, an index of what was staged last), [`pack`]
//! - what is to be done: [`plan`], [`phase`]; what was: [`receipt`], [`journal`], [`record`]
//! - into a directory that releases take turns in: [`slot`]
//! - doing it: [`engine`], [`step`], [`recover`]; its tools [`hook`], [`running`], [`health`], [`warm`], [`opcache`], [`keep`],
//!   [`papers`], [`used`], [`name`], [`follower`], [`pinnable`]
//! - what a release is, afterwards: [`diff`], [`fsck`]
//! - led from elsewhere, over ssh: [`host`]
//! - who may: [`freeze`]; who is told: [`event`], [`notify`]; what history says of it: [`note`]

pub mod adopt;
pub mod diff;
mod drain;
pub mod engine;
pub mod event;
pub mod follower;
pub mod freeze;
pub mod fsck;
pub mod health;
pub mod hook;
pub mod host;
pub mod init;
pub mod journal;
pub mod keep;
pub mod name;
pub mod note;
pub mod notify;
pub mod opcache;
pub mod pack;
pub mod papers;
pub mod phase;
pub mod pinnable;
pub mod plan;
pub mod preset;
pub mod receipt;
pub mod record;
pub mod recover;
mod room;
pub mod running;
pub mod slot;
pub mod source;
pub mod stage;
pub mod step;
pub mod store;
pub mod used;
pub mod warm;
mod web;
