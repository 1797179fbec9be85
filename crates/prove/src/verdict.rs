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
}

/// The verdict on everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdicts {
    /// All responses.
    pub total: Tally,
    /// By page, in the order of the observations' pages.
    pub by_page: Vec<Tally>,
    /// The responses that are not ok: their number in the observations, and why.
    pub convicted: Vec<(usize, Verdict)>,
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

/// Judges.
///
/// # Errors
/// When the intervals are not intervals.
pub fn judge(observations: &Observations) -> Result<Verdicts, JudgeError> {
    let mut timeline = Timeline::of(observations)?;
    if let Some(at) = observations.responses.iter().position(|seen| seen.done_ns < seen.sent_ns) {
        return Err(JudgeError::Response(at));
    }
    for response in &observations.responses {
        timeline.learn(response);
    }
    timeline.shorten();
    let mut verdicts = Verdicts {
        total: Tally::default(),
        by_page: vec![Tally::default(); observations.pages.len()],
        convicted: Vec::new(),
    };
    for (at, response) in observations.responses.iter().enumerate() {
        let verdict = timeline.judge(response);
        verdicts.total.count(verdict);
        if let Some(page) = verdicts.by_page.get_mut(response.page as usize) {
            page.count(verdict);
        }
        if verdict != Verdict::Ok {
            verdicts.convicted.push((at, verdict));
        }
    }
    Ok(verdicts)
}

impl Tally {
    /// Counts one more.
    pub fn count(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Ok => self.ok += 1,
            Verdict::Failed => self.failed += 1,
            Verdict::Mixed => self.mixed += 1,
            Verdict::Stale { .. } => self.stale += 1,
        }
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> u64 {
        self.ok + self.failed + self.mixed + self.stale
    }
}

impl Verdicts {
    /// Whether every response is ok, and there is one.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.convicted.is_empty() && self.total.ok > 0
    }
}

/// A time in which a release may have been live, both ends included.
#[derive(Clone, Copy, Debug)]
struct Span {
    from: u64,
    until: u64,
    /// The write that opens it: 0 is the state before the first flip, *i* the *i*-th flip.
    write: usize,
}

struct Timeline {
    /// By release; its spans in time order, so both their ends are in order too.
    spans: Vec<Vec<Span>>,
    /// By write: the latest moment at which it can have happened.
    happened_by: Vec<u64>,
}

impl Timeline {
    fn of(observations: &Observations) -> Result<Self, JudgeError> {
        let flips = &observations.flips;
        let mut free_from = 0;
        for (at, flip) in flips.iter().enumerate() {
            let returned = flip.returned_ns.unwrap_or(u64::MAX);
            if flip.called_ns < free_from || returned < flip.called_ns {
                return Err(JudgeError::Flips(at));
            }
            free_from = returned;
        }
        let happened_by: Vec<u64> =
            std::iter::once(0).chain(flips.iter().map(|flip| flip.returned_ns.unwrap_or(u64::MAX))).collect();
        let releases = flips.iter().map(|flip| flip.to).chain([observations.first]).max().unwrap_or(0);
        let mut spans = vec![Vec::new(); releases as usize + 1];
        let writes =
            std::iter::once((observations.first, 0)).chain(flips.iter().map(|f| (f.to, f.called_ns)));
        for (write, (release, from)) in writes.enumerate() {
            let until = happened_by.get(write + 1).copied().unwrap_or(u64::MAX);
            if let Some(spans) = spans.get_mut(release as usize) {
                spans.push(Span { from, until, write });
            }
        }
        Ok(Self { spans, happened_by })
    }

    /// A response that can belong to one span only shows that the span's write had happened when it ended.
    fn learn(&mut self, response: &Response) {
        let mut touched = candidates(&response.seen).iter().flat_map(|release| {
            let spans = self.spans_of(*release);
            let first = spans.partition_point(|span| span.until < response.sent_ns);
            spans.iter().skip(first).take_while(|span| span.from <= response.done_ns).take(2)
        });
        let (Some(only), None) = (touched.next(), touched.next()) else { return };
        let write = only.write;
        if let Some(by) = self.happened_by.get_mut(write) {
            *by = (*by).min(response.done_ns);
        }
    }

    fn shorten(&mut self) {
        for span in self.spans.iter_mut().flatten() {
            if let Some(by) = self.happened_by.get(span.write + 1) {
                span.until = *by;
            }
        }
    }

    fn judge(&self, response: &Response) -> Verdict {
        match &response.seen {
            Seen::Wrong(_) => return Verdict::Failed,
            Seen::Parts(_) => return Verdict::Mixed,
            Seen::Of(_) | Seen::AnyOf(_) => {}
        }
        let mut late_ns = None;
        for release in candidates(&response.seen) {
            let spans = self.spans_of(*release);
            let next = spans.partition_point(|span| span.until < response.sent_ns);
            if spans.get(next).is_some_and(|span| span.from <= response.done_ns) {
                return Verdict::Ok;
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

    fn spans_of(&self, release: u32) -> &[Span] {
        self.spans.get(release as usize).map_or(&[], Vec::as_slice)
    }
}

fn candidates(seen: &Seen) -> &[u32] {
    match seen {
        Seen::Of(one) => std::slice::from_ref(one),
        Seen::AnyOf(any) => any,
        Seen::Parts(_) | Seen::Wrong(_) => &[],
    }
}

#[cfg(test)]
#[path = "verdict_tests.rs"]
mod tests;
