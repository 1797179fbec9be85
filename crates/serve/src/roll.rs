//! Roll: which releases this process has pinned, since when, and how many requests are in flight on each.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use prometheus_client::metrics::gauge::Gauge;

/// The releases that are pinned, of all sites.
#[derive(Default)]
pub struct Roll {
    entries: Mutex<Vec<Entry>>,
}

struct Entry {
    key: Arc<()>,
    site: String,
    release: String,
    since: Instant,
    in_flight: Gauge,
}

/// One release's place on the roll, for as long as it is pinned.
pub struct Enrolled {
    roll: Arc<Roll>,
    key: Arc<()>,
}

/// A release that is pinned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pinned {
    /// The release.
    pub release: String,
    /// How long ago it was first pinned.
    pub since: Duration,
    /// Requests in flight on it.
    pub in_flight: i64,
}

impl Roll {
    /// Puts a release on the roll.
    pub fn enter(self: &Arc<Self>, site: &str, release: &str, in_flight: Gauge) -> Enrolled {
        let key = Arc::new(());
        let (site, release) = (site.to_owned(), release.to_owned());
        let entry = Entry { key: Arc::clone(&key), site, release, since: Instant::now(), in_flight };
        self.entries().push(entry);
        Enrolled { roll: Arc::clone(self), key }
    }

    /// The releases of a site, the one that was pinned first in front. One that was dressed anew, by a reload say,
    /// is told once.
    pub fn of(&self, site: &str) -> Vec<Pinned> {
        let mut pinned: Vec<Pinned> = Vec::new();
        for entry in self.entries().iter().filter(|entry| entry.site == site) {
            if !pinned.iter().any(|known| known.release == entry.release) {
                let (release, since) = (entry.release.clone(), entry.since.elapsed());
                pinned.push(Pinned { release, since, in_flight: entry.in_flight.get() });
            }
        }
        pinned
    }

    fn entries(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Enrolled {
    fn drop(&mut self) {
        self.roll.entries().retain(|entry| !Arc::ptr_eq(&entry.key, &self.key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_told_for_as_long_as_it_is_pinned() {
        let roll = Arc::new(Roll::default());
        let gauge = Gauge::default();
        let first = roll.enter("shop", "r1", gauge.clone());
        let again = roll.enter("shop", "r1", gauge.clone());
        let _other = roll.enter("blog", "r1", Gauge::default());
        let second = roll.enter("shop", "r2", Gauge::default());
        gauge.set(3);
        let told = |roll: &Roll| -> Vec<(String, i64)> {
            roll.of("shop").into_iter().map(|pinned| (pinned.release, pinned.in_flight)).collect()
        };
        assert_eq!(told(&roll), [("r1".to_owned(), 3), ("r2".to_owned(), 0)]);
        drop(first);
        assert_eq!(told(&roll).len(), 2);
        drop((again, second));
        assert_eq!(told(&roll), []);
    }
}
