//! Clock: one monotonic origin for everything that is compared.

use std::time::Instant;

/// Nanoseconds since one origin. Copies share the origin, so that stamps taken by the load, by the flipper and by a
/// caller's own visitors can be compared.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
}

impl Clock {
    /// A clock that starts now.
    #[must_use]
    pub fn start() -> Self {
        Self { origin: Instant::now() }
    }

    /// Nanoseconds since the start (enough for 584 years).
    #[must_use]
    pub fn now_ns(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}
