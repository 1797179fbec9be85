//! Allowance: how much a reader may still put together, so that a configuration that multiplies itself comes to an end.

/// What is left of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowance {
    bytes: usize,
}

/// Enough for any real server; far less than a machine has.
const BYTES: usize = 64 << 20;
/// What a line costs beside its text.
const LINE: usize = 64;

impl Default for Allowance {
    fn default() -> Allowance {
        Allowance { bytes: BYTES }
    }
}

impl Allowance {
    /// Takes what a line of so many bytes costs; `false`: there is nothing left.
    #[must_use]
    pub fn line(&mut self, bytes: usize) -> bool {
        self.bytes = self.bytes.saturating_sub(bytes.saturating_add(LINE));
        self.is_left()
    }

    /// Whether anything is left.
    pub fn is_left(&self) -> bool {
        self.bytes > 0
    }
}
