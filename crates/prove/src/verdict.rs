//! Verdict: each response judged as a read of one register. A pure function of the observations.
//!
//! Flip *i* takes effect at one unknown moment between its call and its return; its release is live from there to the
//! moment of flip *i+1*. So the *span* in which a release may have been live goes from the call of its flip to the return
//! of the next one, and a response is ok if it touches such a span of a release that could have answered so.
//!
//! That is exact for each response alone. Taken together they tell more: once somebody has had the new release's whole
//! answer, the flip has happened, returned or not, and who begins after that may not get the old one. So each span is
//! shortened by the first end of a response that can only belong to the next flip, and judged again. With that the
//! judgement is exact (nobody is convicted if and only if the history is linearizable) when no response could belong to
//! two spans, and never convicts a linearizable history in any case; `tests` hold both against brute force. Of two
//! responses that contradict each other within one flip, the one that began later is convicted, whichever was wrong.

use crate::observations::{Observations, Response, Seen};
use crate::sessions::Sessions;
use crate::timeline::{Timeline, candidates};
use serde::{Deserialize, Serialize};

/// What became of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// One release answered, and it was live at some moment of the request.
    Ok,
    /// No release would have answered so; refused, cut short, badly framed.
    Failed,
    /// Parts of two releases.
    Mixed,
    /// One release answered, that was live at no moment of the request.
    Stale {
        /// Nanoseconds from when it was last live to the sending; `None`: it was not live yet.
        late_ns: Option<u64>,
    },
    /// It would be ok, had it not taken longer than the standard allows, from when it was due to its last byte.
    Slow,
}

/// By what it is judged. The promise is about releases, so slowness breaks it only where that is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standard {
    /// What of answers that take long.
    pub slow: Slowness,
}

/// What of answers that take long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Slowness {
    /// Nothing is too slow.
    #[default]
    Ignored,
    /// What takes longer is counted as slow; the promise is not broken by it.
    Counted {
        /// Nanoseconds.
        over_ns: u64,
    },
    /// What takes longer breaks the promise.
    Breach {
        /// Nanoseconds.
        over_ns: u64,
    },
}

/// How many of each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Ok.
    pub ok: u64,
    /// Failed.
    pub failed: u64,
    /// Mixed.
    pub mixed: u64,
    /// Stale.
    pub stale: u64,
    /// Slow.
    pub slow: u64,
}

/// The verdict on everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdicts {
    /// By what they were judged.
    pub standard: Standard,
    /// All responses.
    pub total: Tally,
    /// By page, in the order of the observations' pages.
    pub by_page: Vec<Tally>,
    /// The responses that break the promise: their number in the observations, and why.
    pub convicted: Vec<(usize, Verdict)>,
    /// Whether a client saw the site go back.
    pub sessions: Sessions,
}

/// Observations that cannot be judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JudgeError {
    /// A flip called before the one before it returned, or that returned before it was called.
    #[error("flip {0} overlaps the one before it, or returned before it was called")]
    Flips(usize),
    /// A response that ended before it was sent.
    #[error("response {0} ended before it was sent")]
    Response(usize),
}

/// Judges by the standard that knows no slowness.
///
/// # Errors
/// When the intervals are not intervals.
pub fn judge(observations: &Observations) -> Result<Verdicts, JudgeError> {
    judge_by(observations, Standard::default())
}

/// Judges.
///
/// # Errors
/// When the intervals are not intervals.
pub fn judge_by(observations: &Observations, standard: Standard) -> Result<Verdicts, JudgeError> {
    let mut timeline = Timeline::of(observations).map_err(JudgeError::Flips)?;
    if let Some(at) = observations.responses.iter().position(|seen| seen.done_ns < seen.sent_ns) {
        return Err(JudgeError::Response(at));
    }
    timeline.learn_from(&observations.responses);
    let mut verdicts = Verdicts {
        standard,
        total: Tally::default(),
        by_page: vec![Tally::default(); observations.pages.len()],
        convicted: Vec::new(),
        sessions: Sessions::of(observations, &timeline),
    };
    for (at, response) in observations.responses.iter().enumerate() {
        let verdict = verdict(&timeline, response, standard);
        verdicts.total.count(verdict);
        if let Some(page) = verdicts.by_page.get_mut(response.page as usize) {
            page.count(verdict);
        }
        if standard.is_breach(verdict) {
            verdicts.convicted.push((at, verdict));
        }
    }
    Ok(verdicts)
}

impl Standard {
    fn is_slow(self, response: &Response) -> bool {
        match self.slow {
            Slowness::Ignored => false,
            Slowness::Counted { over_ns } | Slowness::Breach { over_ns } => response.took_ns() > over_ns,
        }
    }

    fn is_breach(self, verdict: Verdict) -> bool {
        match (verdict, self.slow) {
            (Verdict::Ok, _) | (Verdict::Slow, Slowness::Ignored | Slowness::Counted { .. }) => false,
            (Verdict::Slow, Slowness::Breach { .. })
            | (Verdict::Failed | Verdict::Mixed | Verdict::Stale { .. }, _) => true,
        }
    }
}

impl Tally {
    /// Counts one more.
    pub fn count(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Ok => self.ok += 1,
            Verdict::Failed => self.failed += 1,
            Verdict::Mixed => self.mixed += 1,
            Verdict::Stale { .. } => self.stale += 1,
            Verdict::Slow => self.slow += 1,
        }
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> u64 {
        self.ok + self.failed + self.mixed + self.stale + self.slow
    }
}

impl Verdicts {
    /// Whether nothing breaks the promise, and something kept it.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.convicted.is_empty() && self.sessions.backwards.is_empty() && self.total.ok + self.total.slow > 0
    }
}

fn verdict(timeline: &Timeline, response: &Response, standard: Standard) -> Verdict {
    match &response.seen {
        Seen::Wrong(_) => return Verdict::Failed,
        Seen::Parts(_) => return Verdict::Mixed,
        Seen::Of(_) | Seen::AnyOf(_) => {}
    }
    let mut late_ns = None;
    for release in candidates(&response.seen) {
        let spans = timeline.spans_of(*release);
        let next = spans.partition_point(|span| span.until < response.sent_ns);
        if spans.get(next).is_some_and(|span| span.from <= response.done_ns) {
            return if standard.is_slow(response) { Verdict::Slow } else { Verdict::Ok };
        }
        let last = next.checked_sub(1).and_then(|last| spans.get(last));
        let late = last.map(|span| response.sent_ns.saturating_sub(span.until));
        late_ns = match (late_ns, late) {
            (Some(one), Some(other)) => Some(std::cmp::min::<u64>(one, other)),
            (one, other) => one.or(other),
        };
    }
    Verdict::Stale { late_ns }
}

#[cfg(test)]
#[path = "verdict_tests.rs"]
mod tests;
