//! cutover.toml: parsed once, and split from the start into what the release says and what the host says.
//!
//! ```text
//!   text ── read/ (sections, keys, spans) ──> Config { host: Host   where it runs      (the host's file only)
//!                                                    , says: Says } how it is served   (the release's own file wins)
//!   many files ── served ──> Served { sites, sockets }   who listens where, for which host names
//! ```
//!
//! Rules: every error names file, line, what is wrong and what to write instead; an unknown key is an error with a
//! suggestion; nothing here touches the disk except [`Config::read`]; after parsing there are no strings left to
//! interpret; no input panics.
//!
//! - [`config`](Config): one file. [`served`](Served): several files joined by their listening sockets.
//! - [`says`](Says): docroot, front, index, redirects, headers, cache rules, error pages, auth, maintenance page.
//! - [`host`](Host): app, source, stage, php, serve, health, hooks, fleet.
//! - [`value`]: the small types that are parsed once: addresses, sizes, durations, patterns, host names.
//! - `read`: TOML with its positions, as sections that know their keys.

mod complaint;
mod config;
pub mod host;
mod read;
pub mod says;
mod served;
pub mod value;

pub use crate::complaint::ConfigError;
pub use crate::config::Config;
pub use crate::host::Host;
pub use crate::read::keys;
pub use crate::says::Says;
pub use crate::served::{Served, Site, Socket, join};
