//! Pace: how long a warm waits between two requests, so that it does not take a core away from visitors.

use std::time::Duration;

use crate::opcache::Figures;

/// One request of compiling lasts about so long.
pub const BATCH: Duration = Duration::from_millis(200);
/// A pause is no longer, whatever the request took.
const LONGEST: Duration = Duration::from_secs(1);

/// Watches whether anybody else uses the cache.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    hits: u64,
}

impl Pace {
    /// From these figures on.
    pub fn from(figures: &Figures) -> Pace {
        Pace { hits: figures.hits }
    }

    /// How long to wait after a request that took so long. While visitors come, as long as it took: they have the
    /// machine half of the time. With nobody there, not at all.
    pub fn pause(&mut self, figures: &Figures, took: Duration) -> Duration {
        // One is that of our own script.
        let others = figures.hits.saturating_sub(self.hits).saturating_sub(1);
        self.hits = figures.hits;
        if others == 0 { Duration::ZERO } else { took.min(LONGEST) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_waits_only_while_somebody_else_runs_scripts() {
        let at = |hits| Figures { hits, ..Figures::default() };
        let mut pace = Pace::from(&at(100));
        let took = Duration::from_millis(200);
        assert_eq!(pace.pause(&at(101), took), Duration::ZERO);
        assert_eq!(pace.pause(&at(140), took), took);
        assert_eq!(pace.pause(&at(180), Duration::from_secs(9)), LONGEST);
        assert_eq!(pace.pause(&at(181), took), Duration::ZERO);
        // The cache was restarted.
        assert_eq!(pace.pause(&at(0), took), Duration::ZERO);
    }
}
