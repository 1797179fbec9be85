//! Stderr: what a script wrote for the web server's log, until it is sent.

use std::sync::{Mutex, PoisonError};

/// Bytes that may wait.
const MOST: usize = 32 << 10;

/// What is not sent yet.
#[derive(Default)]
pub struct Stderr(Mutex<Vec<u8>>);

impl Stderr {
    /// Adds text; what would be more than the web server is likely to log is dropped.
    pub fn write(&self, text: &[u8]) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() + text.len() <= MOST {
            waiting.extend_from_slice(text);
        }
    }

    /// Takes what was added.
    pub fn take(&self) -> Vec<u8> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
