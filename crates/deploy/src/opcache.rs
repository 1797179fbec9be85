//! Opcache: what PHP keeps of releases in the memory that all pools of one master share, and how it is asked.
//!
//! ```text
//!   ask (a script of ours, run by the pool) ──> figures ──> room: is there any for this release? how many deploys more?
//!                 │                          need ──────────┘
//!                 └──> masters (which pools share a cache), collect (what gone releases left)
//! ```
//!
//! The facts behind it (php-src ext/opcache/ZendAccelerator.c): nothing is freed but by a restart of the cache. PHP
//! restarts it when memory or keys have run out *and* at least opcache.max_wasted_percentage of it is wasted; a
//! release of its own path wastes nothing, so a cache that is full of dead releases stays so for ever unless their
//! scripts are invalidated. opcache_reset() is never called: a restart kills requests that run longer than
//! opcache.force_restart_timeout.

pub mod advice;
pub mod ask;
pub mod collect;
pub mod figures;
pub mod masters;
pub mod need;
pub mod room;

pub use ask::{Cache, OpcacheError, Unusable};
pub use figures::Figures;
pub use need::Need;
pub use room::{Forecast, Short};
