//! What is live and who uses it: the on-disk layout, the flip, the pin, the lease, the seal.
//!
//! The promise: whoever asks gets exactly one complete release, and what is in use stays.
//!
//! ```text
//! <app>/
//!   current -> releases/<id>     the truth about what is live (app.link names it)
//!   releases/<id>/               sealed trees
//!   shared/                      what outlives releases
//!   .cutover/
//!     manifests/<id>             the seal of a release
//!     history                    what was live, good, bad
//!     lock                       the deploy lock (flock)
//!     run/                       sockets
//!     trash/                     what is being deleted
//! ```
//!
//! The rules of this crate: std and rustix only, for it is linked into other people's processes. No threads, no
//! async, no logging, no serde. Only [`app`] joins paths; only `atomic` renames and syncs.
//!
//! - names and places: [`id`], [`app`]
//! - what is live: [`live`], [`lease`], [`pin`]

pub mod app;
pub mod id;
pub mod lease;
pub mod live;
pub mod pin;
mod walk;

pub use app::App;
pub use id::ReleaseId;
pub use lease::Lease;
pub use live::Live;
pub use pin::{Pinned, Pinner};
