//! exec: commands that run on one release and hold it, and workers that follow the link.

#![expect(clippy::disallowed_methods, reason = "tests flip and break links as other tools do")]

mod follow;
mod follower;
mod held;
mod hosted;
mod once;

use std::time::{Duration, Instant};

/// Waits for something that happens soon.
fn until(what: &str, mut is: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !is() {
        assert!(Instant::now() < deadline, "never came: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
