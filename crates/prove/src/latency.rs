//! Latency: how long answers took, and how long since the last flip: that is where a cold cache shows.

use crate::observations::{Observations, Response};
use hdrhistogram::Histogram;
use std::time::Duration;

/// Answer times by how long before their sending the last flip had returned.
#[derive(Debug)]
pub struct Latencies {
    /// All answers.
    pub all: Spread,
    /// By the time since the last flip; those that no flip came before are in the last.
    pub windows: Vec<(Window, Spread)>,
    /// The flips themselves, from call to return.
    pub flips: Spread,
}

/// A time since the last flip, up to and including this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// `None`: any longer, or no flip yet.
    pub up_to: Option<Duration>,
}

/// How a lot of times are spread, to three digits.
#[derive(Clone, Debug)]
pub struct Spread(Histogram<u64>);

const WINDOWS_MS: [u64; 4] = [10, 100, 1_000, 10_000];

/// Each response with the nanoseconds from the return of the last flip to its sending; `None`: no flip was before it.
pub(crate) fn since_last_flip(observations: &Observations) -> impl Iterator<Item = (&Response, Option<u64>)> {
    let returned: Vec<u64> = observations.flips.iter().filter_map(|flip| flip.returned_ns).collect();
    observations.responses.iter().map(move |response| {
        let last = returned.partition_point(|at| *at <= response.sent_ns).checked_sub(1);
        let since = last.and_then(|last| returned.get(last)).map(|at| response.sent_ns - at);
        (response, since)
    })
}

impl Latencies {
    /// Of everything observed, failures included.
    #[must_use]
    pub fn of(observations: &Observations) -> Self {
        let mut flips = Spread::new();
        for flip in &observations.flips {
            if let Some(at) = flip.returned_ns {
                flips.add(at - flip.called_ns.min(at));
            }
        }
        let limits = WINDOWS_MS.map(|ms| Some(Duration::from_millis(ms))).into_iter().chain([None]);
        let mut windows: Vec<_> = limits.map(|up_to| (Window { up_to }, Spread::new())).collect();
        let mut all = Spread::new();
        for (response, since) in since_last_flip(observations) {
            let took = response.took_ns();
            all.add(took);
            let fits = |window: &Window| match (window.up_to, since) {
                (None, _) => true,
                (Some(_), None) => false,
                (Some(limit), Some(since)) => u128::from(since) <= limit.as_nanos(),
            };
            if let Some((_, spread)) = windows.iter_mut().find(|(window, _)| fits(window)) {
                spread.add(took);
            }
        }
        Self { all, windows, flips }
    }
}

impl Spread {
    /// Of nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self(histogram())
    }

    /// Adds a time in nanoseconds; beyond an hour it counts as an hour.
    pub fn add(&mut self, took_ns: u64) {
        self.0.saturating_record(took_ns);
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The time that so many percent stayed within.
    #[must_use]
    pub fn percent(&self, percent: f64) -> Duration {
        Duration::from_nanos(self.0.value_at_quantile(percent / 100.0))
    }

    /// The longest.
    #[must_use]
    pub fn max(&self) -> Duration {
        Duration::from_nanos(self.0.max())
    }
}

impl Default for Spread {
    fn default() -> Self {
        Self::new()
    }
}

fn histogram() -> Histogram<u64> {
    let hour_ns = 3_600_000_000_000;
    #[allow(
        clippy::expect_used,
        reason = "constant bounds that are valid: 1 <= low, high >= 2 * low, 0..=5 digits"
    )]
    Histogram::new_with_bounds(1, hour_ns, 3).expect("constant bounds")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observations::{Flip, Seen};

    #[test]
    fn answers_are_sorted_by_the_time_since_the_last_flip() {
        let ms = 1_000_000;
        let response = |sent: u64| Response {
            page: 0,
            client: 0,
            due_ns: sent,
            sent_ns: sent,
            done_ns: sent + ms,
            seen: Seen::Of(0),
        };
        let observed = Observations {
            flips: vec![Flip { to: 0, called_ns: 9 * ms, returned_ns: Some(10 * ms) }],
            responses: [1, 11, 20, 21, 500, 5_000, 50_000].map(|at| response(at * ms)).into(),
            ..Observations::default()
        };
        let latencies = Latencies::of(&observed);
        let counts: Vec<u64> = latencies.windows.iter().map(|(_, spread)| spread.count()).collect();
        assert_eq!(counts, [2, 1, 1, 1, 2]);
        assert_eq!(latencies.all.count(), 7);
        assert!(latencies.flips.max() >= Duration::from_millis(1));
    }
}
