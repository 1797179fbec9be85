//! Border: where PHP calls in. No panic passes it.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs `work`; if that panics, `instead`. The panic's message is in the server's log.
///
/// Nothing in `work` may call what can leave by a long jump, as most of PHP can: destructors would not run.
pub fn border<T>(at: &str, instead: impl FnOnce() -> T, work: impl FnOnce() -> T) -> T {
    let result = catch_unwind(AssertUnwindSafe(|| {
        provoke(at);
        work()
    }));
    // A state that was left half changed is a state of ours: at worst a lease is taken anew.
    result.unwrap_or_else(|_| instead())
}

#[cfg(not(feature = "panics"))]
fn provoke(_: &str) {}

/// Panics where the tests want it.
#[cfg(feature = "panics")]
fn provoke(at: &str) {
    assert!(std::env::var_os("CUTOVER_PANIC").is_none_or(|wanted| wanted != at), "provoked at {at}");
}
