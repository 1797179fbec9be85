//! Pause: how long to wait before a worker that ended by itself is started again. Pure.

use std::time::Duration;

/// How often in a row it failed soon after its start.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Pause {
    failed: u32,
}

/// The first pause after a failure; each further one is twice as long.
const SHORTEST: Duration = Duration::from_millis(100);
/// No pause is longer.
const LONGEST: Duration = Duration::from_secs(30);
/// A worker that ran for so long had been started well.
const WELL: Duration = Duration::from_secs(10);
/// One that does its work and ends is not started more often than once in so long.
const ROUND: Duration = Duration::from_secs(1);

impl Pause {
    /// It ended with 0 after running for so long.
    pub fn after_success(&mut self, ran: Duration) -> Duration {
        self.failed = 0;
        ROUND.saturating_sub(ran)
    }

    /// It failed after running for so long, or could not be started.
    pub fn after_failure(&mut self, ran: Duration) -> Duration {
        if ran >= WELL {
            self.failed = 0;
        }
        let pause = SHORTEST.saturating_mul(2_u32.saturating_pow(self.failed));
        self.failed = self.failed.saturating_add(1);
        pause.min(LONGEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_while_it_fails_at_once_and_are_forgotten_when_it_runs() {
        let mut pause = Pause::default();
        let at_once = Duration::from_millis(5);
        let grown: Vec<u128> = (0..11).map(|_| pause.after_failure(at_once).as_millis()).collect();
        assert_eq!(grown, [100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000]);
        for _ in 0..100 {
            assert_eq!(pause.after_failure(at_once), LONGEST);
        }
        assert_eq!(pause.after_failure(WELL), SHORTEST);
        assert_eq!(pause.after_failure(at_once), 2 * SHORTEST);
        assert_eq!(pause.after_success(at_once), Duration::from_millis(995));
        assert_eq!(pause.after_failure(at_once), SHORTEST);
    }

    #[test]
    fn what_works_and_ends_is_started_again_at_once_but_not_without_end() {
        let mut pause = Pause::default();
        assert_eq!(pause.after_success(Duration::from_secs(3)), Duration::ZERO);
        assert_eq!(pause.after_success(Duration::ZERO), ROUND);
    }
}
