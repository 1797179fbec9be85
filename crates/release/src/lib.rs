//! What is live and who uses it: the on-disk layout, the flip, the pin, the lease, the seal.
//!
//! The promise: whoever asks gets exactly one complete release, and what is in use stays.
//!
//! ```text
//! <app>/
//!   current -> releases/<id>     the truth about what is live (app.link names it)
//!   releases/<id>/               sealed trees; in slot mode links to slots
//!   slots/a/ b/                  directories that releases take turns in
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
//! async, no logging, no serde. Only [`app`] joins paths; only [`atomic`] renames and syncs.
//!
//! - names and places: [`id`], [`app`]
//! - what is live: [`live`], [`lease`], [`pin`], [`hold`], [`list`], [`slot`]
//! - what is whole: [`manifest`] (and its `seal`, behind the feature of that name)
//! - what changes it: [`flip`], [`prune`], [`lock`], [`history`], all through [`atomic`]

pub mod app;
pub mod atomic;
pub mod flip;
mod flocked;
mod glance;
pub mod history;
pub mod hold;
pub mod id;
pub mod lease;
pub mod list;
pub mod live;
pub mod lock;
pub mod manifest;
pub mod pin;
pub mod prune;
#[cfg(feature = "seal")]
mod seal;
pub mod slot;
mod sum;
mod walk;

pub use app::App;
pub use flip::{Flipped, Target, flip};
pub use hold::{Hold, Holder};
pub use id::ReleaseId;
pub use lease::Lease;
pub use live::Live;
pub use pin::{Pinned, Pinner};
pub use slot::SlotName;
