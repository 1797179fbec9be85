//! Timeline: when each release may have been live, as far as the flips and the answers tell.

use crate::observations::{Observations, Response, Seen};
use std::collections::HashMap;

/// A time in which a release may have been live, both ends included.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub from: u64,
    pub until: u64,
    /// The write that opens it: 0 is the state before the first flip, *i* the *i*-th flip.
    pub write: usize,
}

#[derive(Debug)]
pub(crate) struct Timeline {
    /// By release; its spans in time order, so both their ends are in order too. A map, because a release's number may
    /// come from a file that anybody wrote.
    spans: HashMap<u32, Vec<Span>>,
    /// By write: the latest moment at which it can have happened.
    happened_by: Vec<u64>,
}

impl Timeline {
    /// From the flips alone.
    ///
    /// # Errors
    /// The number of the first flip whose interval is none, or begins before the one before it returned.
    pub(crate) fn of(observations: &Observations) -> Result<Self, usize> {
        let flips = &observations.flips;
        let mut free_from = 0;
        for (at, flip) in flips.iter().enumerate() {
            let returned = flip.returned_ns.unwrap_or(u64::MAX);
            if flip.called_ns < free_from || returned < flip.called_ns {
                return Err(at);
            }
            free_from = returned;
        }
        let happened_by: Vec<u64> =
            std::iter::once(0).chain(flips.iter().map(|flip| flip.returned_ns.unwrap_or(u64::MAX))).collect();
        let mut spans: HashMap<u32, Vec<Span>> = HashMap::new();
        let writes =
            std::iter::once((observations.first, 0)).chain(flips.iter().map(|f| (f.to, f.called_ns)));
        for (write, (release, from)) in writes.enumerate() {
            let until = happened_by.get(write + 1).copied().unwrap_or(u64::MAX);
            spans.entry(release).or_default().push(Span { from, until, write });
        }
        Ok(Self { spans, happened_by })
    }

    /// From what the answers show too.
    pub(crate) fn learn_from(&mut self, responses: &[Response]) {
        for response in responses {
            self.learn(response);
        }
        for span in self.spans.values_mut().flatten() {
            if let Some(by) = self.happened_by.get(span.write + 1) {
                span.until = *by;
            }
        }
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

    /// In time order.
    pub(crate) fn spans_of(&self, release: u32) -> &[Span] {
        self.spans.get(&release).map_or(&[], Vec::as_slice)
    }
}

/// The releases that could have given this answer.
pub(crate) fn candidates(seen: &Seen) -> &[u32] {
    match seen {
        Seen::Of(one) => std::slice::from_ref(one),
        Seen::AnyOf(any) => any,
        Seen::Parts(_) | Seen::Wrong(_) => &[],
    }
}
