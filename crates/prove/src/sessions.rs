//! Sessions: does one client ever see a newer release and then an older one (monotonic reads)? Pure.
//!
//! Each whole answer read one write: the state before the first flip, or one of the flips. Which one is not always known,
//! because a release may come again. An answer whose release was live during the request read one of the writes whose span
//! it touches; one that is stale read any earlier write of its release. A client's reads go *forwards* if a write can be
//! chosen for each answer so that no request that began after another of the same client had ended reads an older one.
//!
//! Choosing the oldest allowed write, request by request in the order they began, finds such a choice if there is one, as
//! every rule is a lower bound; `tests` hold it against brute force. A linearizable history goes forwards, so nobody is
//! convicted here who has done no wrong. Requests that a client has under way at the same time (HTTP/2, pipelining) are
//! not compared with each other.

use crate::observations::{Observations, Response};
use crate::timeline::{Span, Timeline, candidates};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// What was found about the clients.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sessions {
    /// How many clients there were.
    pub clients: u64,
    /// How many of them saw the site go back.
    pub wronged: u64,
    /// The answers that went back.
    pub backwards: Vec<Backwards>,
}

/// A client was answered by an older release than it had seen before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backwards {
    /// The newer answer, by its number in the observations.
    pub first: usize,
    /// The older one, which was asked for after the first had ended.
    pub then: usize,
}

impl Sessions {
    pub(crate) fn of(observations: &Observations, timeline: &Timeline) -> Self {
        let responses = &observations.responses;
        let mut order: Vec<usize> = (0..responses.len()).collect();
        let key = |at: &usize| responses.get(*at).map(|one| (one.client, one.sent_ns, one.done_ns));
        order.sort_unstable_by_key(key);
        let same = |one: &usize, other: &usize| key(one).map(|key| key.0) == key(other).map(|key| key.0);
        let mut found = Self::default();
        for session in order.chunk_by(same) {
            let before = found.backwards.len();
            found.judge(responses, session, timeline);
            found.clients += 1;
            found.wronged += u64::from(found.backwards.len() > before);
        }
        found.backwards.sort_unstable_by_key(|back| back.then);
        found
    }

    /// `session` has the numbers of one client's responses in the order they were sent.
    fn judge(&mut self, responses: &[Response], session: &[usize], timeline: &Timeline) {
        let mut ended: Vec<usize> = (0..session.len()).collect();
        let of = |nth: usize| session.get(nth).and_then(|at| responses.get(*at).map(|one| (*at, one)));
        ended.sort_unstable_by_key(|nth| of(*nth).map(|(_, one)| one.done_ns));
        // By place in `session`: the oldest write that the response can have read; none, if it shows nothing.
        let mut read: Vec<Option<usize>> = vec![None; session.len()];
        let (mut floor, mut next_ended) = (None, 0);
        for nth in 0..session.len() {
            let Some((at, response)) = of(nth) else { continue };
            while let Some(&earlier) = ended.get(next_ended)
                && let Some((number, one)) = of(earlier)
                && one.done_ns < response.sent_ns
            {
                let write = read.get(earlier).copied().flatten();
                if let Some(write) = write
                    && floor.is_none_or(|(highest, _)| write > highest)
                {
                    floor = Some((write, number));
                }
                next_ended += 1;
            }
            let Some(allowed) = Allowed::of(response, timeline) else { continue };
            let oldest = allowed.oldest_from(floor.map_or(0, |(write, _)| write));
            match (oldest, floor) {
                (None, Some((_, first))) => self.backwards.push(Backwards { first, then: at }),
                (oldest, _) => {
                    if let Some(read) = read.get_mut(nth) {
                        *read = oldest;
                    }
                }
            }
        }
    }
}

/// The writes that a response can have read: of each release that could have answered so, some neighbouring spans.
pub(crate) struct Allowed<'a>(Vec<&'a [Span]>);

impl<'a> Allowed<'a> {
    /// `None`: the answer is of no release that was ever live, so it shows nothing about newer and older.
    pub(crate) fn of(response: &'a Response, timeline: &'a Timeline) -> Option<Self> {
        let all: Vec<&[Span]> =
            candidates(&response.seen).iter().map(|one| timeline.spans_of(*one)).collect();
        let narrowed = |range: fn(&[Span], &Response) -> Range<usize>| -> Vec<&[Span]> {
            let parts = all.iter().filter_map(|spans| spans.get(range(spans, response)));
            parts.filter(|spans| !spans.is_empty()).collect()
        };
        // Live meanwhile; else stale, from earlier; else it was never live yet, and shows a release before its flip.
        [touched, earlier, whenever].into_iter().map(narrowed).find(|spans| !spans.is_empty()).map(Self)
    }

    fn oldest_from(&self, floor: usize) -> Option<usize> {
        let oldest = |spans: &&[Span]| {
            let at = spans.partition_point(|span| span.write < floor);
            spans.get(at).map(|span| span.write)
        };
        self.0.iter().filter_map(oldest).min()
    }
}

fn touched(spans: &[Span], response: &Response) -> Range<usize> {
    let first = spans.partition_point(|span| span.until < response.sent_ns);
    first..spans.partition_point(|span| span.from <= response.done_ns).max(first)
}

fn earlier(spans: &[Span], response: &Response) -> Range<usize> {
    0..spans.partition_point(|span| span.from <= response.done_ns)
}

fn whenever(spans: &[Span], _: &Response) -> Range<usize> {
    0..spans.len()
}

#[cfg(test)]
#[path = "sessions_tests.rs"]
mod tests;
