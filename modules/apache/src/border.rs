//! Border: no panic of ours unwinds into httpd.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs `inside`; a panic ends here, and `instead` is the answer. The panic's message is on stderr, the error log.
pub fn guard<T>(instead: T, inside: impl FnOnce() -> T) -> T {
    // Nothing of ours is half done behind a panic: pins are taken and dropped whole, and all else is httpd's.
    catch_unwind(AssertUnwindSafe(inside)).unwrap_or(instead)
}
