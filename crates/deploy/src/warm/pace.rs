//! Pace: how long a warm waits between two requests, so that it does not take a core away from visitors.

use std::time::Duration;

use crate::opcache::Figures;

/// One request of compiling lasts about so long while nobody else is there.
const ALONE: Duration = Duration::from_millis(200);
/// And so long beside visitors: shorter than most of their requests, so that none is slowed from its begin to its end.
const BESIDE: Duration = Duration::from_millis(25);
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
const WARY: u32 = 40;

impl Pace {
    /// From these figures on.
    pub fn from(figures: &Figures) -> Pace {
        Pace { hits: figures.hits, wary: 0 }
    }

    /// How long the next request may last. The first is short: it is not known yet who is there.
    pub fn batch(&self, first: bool) -> Duration {
        if first || self.wary > 0 { BESIDE } else { ALONE }
    }

    /// How long to wait after a request that took so long. While visitors come, twice as long as it took: they have a
    /// core to themselves two thirds of the time. With nobody there, not at all.
    pub fn pause(&mut self, figures: &Figures, took: Duration) -> Duration {
        // One is that of our own script.
        let others = figures.hits.saturating_sub(self.hits).saturating_sub(1);
        self.hits = figures.hits;
        self.wary = if others > 0 { WARY } else { self.wary.saturating_sub(1) };
        if self.wary == 0 { Duration::ZERO } else { (took * 2).min(LONGEST) }
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
        assert_eq!(pace.batch(false), ALONE);
        assert_eq!(pace.pause(&at(140), took), took * 2);
        assert_eq!(pace.batch(false), BESIDE);
        assert_eq!(pace.pause(&at(180), Duration::from_secs(9)), LONGEST);
        // They come seldom, perhaps; then no more.
        assert_eq!(pace.pause(&at(181), took), took * 2);
        assert!((0..u64::from(WARY)).any(|n| pace.pause(&at(182 + n), took).is_zero()));
        // The cache was restarted.
        assert_eq!(pace.pause(&at(0), took), Duration::ZERO);
    }
}
