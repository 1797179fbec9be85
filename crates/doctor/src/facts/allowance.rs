//! Allowance: how much a reader may still put together, so that a configuration that multiplies itself comes to an end.

/// What is left of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowance {
    bytes: usize,
}

/// Enough for any real server; far less than a machine has.
const BYTES: usize = 256 << 20;
/// What a line and each of its words costs beside its text: about the memory that they take.
const LINE: usize = 256;
const WORD: usize = 128;

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

    /// Takes what a line of so many words costs, with the bytes of its text.
    #[must_use]
    pub fn words(&mut self, words: usize, bytes: usize) -> bool {
        self.line(bytes.saturating_add(words.saturating_mul(WORD)))
    }

    /// Whether anything is left.
    pub fn is_left(&self) -> bool {
        self.bytes > 0
    }
}
