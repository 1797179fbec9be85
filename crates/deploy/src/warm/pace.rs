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
    /// For so many requests more somebody may come.
    wary: u32,
}

/// Where visitors come seldom, a request of ours may well see none of them, and still be in the way of the next.
const WARY: u32 = 20;

impl Pace {
    /// From these figures on.
    pub fn from(figures: &Figures) -> Pace {
        Pace { hits: figures.hits, wary: 0 }
    }

    /// How long to wait after a request that took so long. While visitors come, as long as it took: they have the
    /// machine half of the time. With nobody there, not at all.
    pub fn pause(&mut self, figures: &Figures, took: Duration) -> Duration {
        // One is that of our own script.
        let others = figures.hits.saturating_sub(self.hits).saturating_sub(1);
        self.hits = figures.hits;
        self.wary = if others > 0 { WARY } else { self.wary.saturating_sub(1) };
        if self.wary == 0 { Duration::ZERO } else { took.min(LONGEST) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_waits_while_somebody_else_runs_scripts_and_a_little_longer() {
        let at = |hits| Figures { hits, ..Figures::default() };
        let mut pace = Pace::from(&at(100));
        let took = Duration::from_millis(200);
        assert_eq!(pace.pause(&at(101), took), Duration::ZERO);
        assert_eq!(pace.pause(&at(140), took), took);
        assert_eq!(pace.pause(&at(180), Duration::from_secs(9)), LONGEST);
        // They come seldom, perhaps; then no more.
        assert_eq!(pace.pause(&at(181), took), took);
        assert!((0..u64::from(WARY)).any(|n| pace.pause(&at(182 + n), took).is_zero()));
        // The cache was restarted.
        assert_eq!(pace.pause(&at(0), took), Duration::ZERO);
    }
}
