//! What `peek` synchronises with: std here, loom's in the model.

pub(super) use std::sync::atomic::{AtomicBool, Ordering};
pub(super) use std::sync::{Mutex, PoisonError};
