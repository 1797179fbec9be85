//! exec: commands that run on one release and hold it, and workers that follow the link.

#![expect(clippy::disallowed_methods, reason = "tests flip and break links as other tools do")]

mod follow;
mod follower;
mod held;
mod hosted;
mod once;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Sets it at its end, also when the test fails: threads that wait for it would wait for ever.
pub struct Sets<'a>(pub &'a AtomicBool);

impl Drop for Sets<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Waits for something that happens soon.
fn until(what: &str, mut is: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is() {
        assert!(Instant::now() < deadline, "never came: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
