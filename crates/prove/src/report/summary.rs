//! What every report says, worked out once.

use crate::latency::{Latencies, Window};
use crate::observations::Observations;
use crate::verdict::{Slowness, Tally, Verdict, Verdicts};
use std::time::Duration;

pub(super) struct Summary<'a> {
    pub observed: &'a Observations,
    pub verdicts: &'a Verdicts,
    pub latencies: Latencies,
    pub seconds: f64,
    /// Requests per second.
    pub rate: f64,
    /// The stalest answer, in nanoseconds.
    pub latest_ns: Option<u64>,
}

impl<'a> Summary<'a> {
    pub fn of(observed: &'a Observations, verdicts: &'a Verdicts) -> Self {
        let seconds = Duration::from_nanos(observed.took_ns).as_secs_f64();
        let requests = verdicts.total.all() as f64;
        let late = |verdict: Verdict| match verdict {
            Verdict::Stale { late_ns } => late_ns,
            Verdict::Ok | Verdict::Failed | Verdict::Mixed | Verdict::Slow => None,
        };
        Self {
            observed,
            verdicts,
            latencies: Latencies::of(observed),
            seconds,
            rate: if seconds > 0.0 { requests / seconds } else { 0.0 },
            latest_ns: verdicts.convicted.iter().filter_map(|(_, verdict)| late(*verdict)).max(),
        }
    }

    /// Whether the promise held in all that was to be run.
    pub fn held(&self) -> bool {
        self.verdicts.holds() && self.observed.cut_short.is_none()
    }

    /// One line that says whether the promise held, and if not why not.
    pub fn conclusion(&self) -> String {
        let (requests, flips) = (grouped(self.verdicts.total.all()), self.observed.flips.len() as u64);
        let over = format!("{requests} requests over {} flips", grouped(flips));
        match (self.verdicts.holds(), &self.observed.cut_short) {
            (true, None) => format!("PROMISE HELD: {over}, each answered by one release that was live"),
            (true, Some(_)) => format!("NOT PROVEN: nothing was wrong in {over}, but the run was cut short"),
            (false, _) if self.verdicts.total.all() == 0 => {
                "NOT PROVEN: there was no answer to judge".to_owned()
            }
            (false, _) => format!("PROMISE BROKEN: {} of {over}", self.breaches().join(", ")),
        }
    }

    /// What broke the promise, as `12 failed`; empty if it held.
    fn breaches(&self) -> Vec<String> {
        let Tally { ok: _, failed, mixed, stale, slow } = self.verdicts.total;
        let slow = if self.slow_breaks() { slow } else { 0 };
        let back = self.verdicts.sessions.backwards.len() as u64;
        let all =
            [(failed, "failed"), (mixed, "mixed"), (stale, "stale"), (slow, "slow"), (back, "gone back")];
        all.iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{} {what}", grouped(*count)))
            .collect()
    }

    pub fn slow_breaks(&self) -> bool {
        match self.verdicts.standard.slow {
            Slowness::Breach { .. } => true,
            Slowness::Ignored | Slowness::Counted { .. } => false,
        }
    }

    /// The bound above which an answer is slow.
    pub fn slow_over(&self) -> Option<Duration> {
        match self.verdicts.standard.slow {
            Slowness::Ignored => None,
            Slowness::Counted { over_ns } | Slowness::Breach { over_ns } => {
                Some(Duration::from_nanos(over_ns))
            }
        }
    }

    pub fn page(&self, number: u32) -> &'a str {
        self.observed.pages.get(number as usize).map_or("?", String::as_str)
    }
}

/// What the time since the last flip is called; `before` is the window before it.
pub(super) fn since_flip(before: Option<Window>, window: Window) -> String {
    let limit = |window: Window| window.up_to.map(whole);
    match (before.and_then(limit), limit(window)) {
        (None, Some(until)) => format!("within {until} of a flip"),
        (Some(from), Some(until)) => format!("{from} to {until}"),
        (_, None) => "steady: later, or no flip".to_owned(),
    }
}

/// `10ms` as `10 ms`.
fn whole(limit: Duration) -> String {
    match limit.as_millis() {
        ms if ms % 1_000 == 0 => format!("{} s", ms / 1_000),
        ms => format!("{ms} ms"),
    }
}

/// `1234567` as `1,234,567`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }
}
