//! Logs: what was served, and what went wrong. Files are reopened on SIGUSR1; to a journal lines carry a priority.

mod access;
mod error;
mod reasons;
mod sink;

pub use access::{Access, AccessLog};
pub use error::ErrorLog;
pub use reasons::with_reasons;
