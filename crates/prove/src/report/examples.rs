//! Examples: the worst of what broke the promise, told so that a person can picture it.

use super::summary::Summary;
use super::text::short;
use crate::observations::{Observations, Response, Seen};
use crate::verdict::Verdict;
use std::collections::HashSet;
use std::time::Duration;

/// One answer that broke the promise.
pub(super) struct Example<'a> {
    /// Its number in the observations.
    pub number: usize,
    pub response: &'a Response,
    pub page: &'a str,
    /// `failed`, `mixed`, `stale by 3.2 ms`.
    pub verdict: String,
    /// When it was asked, told by the flip next to it.
    pub when: String,
    /// What it said.
    pub said: String,
}

/// At most `each` of every kind: the stalest, the slowest, and those that failed each in its own way.
pub(super) fn worst<'a>(summary: &Summary<'a>, each: usize) -> Vec<Example<'a>> {
    let kinds: [fn(Verdict) -> bool; 4] = [
        |verdict| verdict == Verdict::Failed,
        |verdict| verdict == Verdict::Mixed,
        |verdict| matches!(verdict, Verdict::Stale { .. }),
        |verdict| verdict == Verdict::Slow,
    ];
    kinds.iter().flat_map(|is| worst_of(summary, each, *is)).collect()
}

fn worst_of<'a>(summary: &Summary<'a>, each: usize, is: fn(Verdict) -> bool) -> Vec<Example<'a>> {
    let convicted = summary.verdicts.convicted.iter().filter(|(_, verdict)| is(*verdict));
    let mut found: Vec<(usize, Verdict, &Response)> = convicted
        .filter_map(|(at, verdict)| summary.observed.responses.get(*at).map(|one| (*at, *verdict, one)))
        .collect();
    // Not live yet is worse than late; among equals the first comes first.
    found.sort_by_key(|(at, verdict, one)| {
        let badness = match verdict {
            Verdict::Stale { late_ns } => late_ns.unwrap_or(u64::MAX),
            Verdict::Slow => one.took_ns(),
            Verdict::Ok | Verdict::Failed | Verdict::Mixed => 0,
        };
        (std::cmp::Reverse(badness), one.sent_ns, *at)
    });
    let mut told = HashSet::new();
    let (new, again): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|(_, _, one)| told.insert((one.page, &one.seen)));
    new.into_iter()
        .chain(again)
        .take(each)
        .map(|(at, verdict, one)| example(summary, at, verdict, one))
        .collect()
}

fn example<'a>(
    summary: &Summary<'a>,
    number: usize,
    verdict: Verdict,
    response: &'a Response,
) -> Example<'a> {
    Example {
        number,
        response,
        page: summary.page(response.page),
        verdict: named(verdict),
        when: when(summary.observed, response),
        said: said(summary.observed, &response.seen),
    }
}

pub(super) fn named(verdict: Verdict) -> String {
    match verdict {
        Verdict::Ok => "ok".to_owned(),
        Verdict::Failed => "failed".to_owned(),
        Verdict::Mixed => "mixed".to_owned(),
        Verdict::Slow => "slow".to_owned(),
        Verdict::Stale { late_ns: Some(late) } => format!("stale by {}", short(Duration::from_nanos(late))),
        Verdict::Stale { late_ns: None } => "not live yet".to_owned(),
    }
}

pub(super) fn said(observed: &Observations, seen: &Seen) -> String {
    let names = |numbers: &[u32], between: &str| {
        numbers.iter().map(|number| observed.release(*number)).collect::<Vec<_>>().join(between)
    };
    match seen {
        Seen::Of(release) => observed.release(*release).to_owned(),
        Seen::AnyOf(any) => names(any, " or "),
        Seen::Parts(parts) => names(parts, " and "),
        // On one line, and nothing in it steers a terminal: servers and files say what they like.
        Seen::Wrong(why) => why.replace(char::is_control, " "),
    }
}

/// When a response was asked for, told by the last flip that was called before it ended.
pub(super) fn when(observed: &Observations, response: &Response) -> String {
    let last = observed.flips.partition_point(|flip| flip.called_ns <= response.done_ns).checked_sub(1);
    let Some(flip) = last.and_then(|last| observed.flips.get(last)) else {
        return "before the first flip".to_owned();
    };
    let to = observed.release(flip.to);
    let after = |from: u64, until: u64| short(Duration::from_nanos(until.saturating_sub(from)));
    match flip.returned_ns {
        _ if flip.called_ns >= response.sent_ns => {
            format!("{} before the flip to {to} was called", after(response.sent_ns, flip.called_ns))
        }
        Some(returned) if returned < response.sent_ns => {
            format!("{} after the flip to {to} had returned", after(returned, response.sent_ns))
        }
        Some(_) | None => format!("while the flip to {to} was under way"),
    }
}
