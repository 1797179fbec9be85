//! The report for programs. Its keys are stable: `docs/prove-report.md` lists them, and a test holds the two together.

use super::examples;
use super::summary::Summary;
use crate::latency::Spread;
use crate::observations::Observations;
use crate::verdict::{Tally, Verdicts};
use serde_json::{Value, json};

/// How many convictions of each kind are told one by one.
const TOLD: usize = 20;

/// One JSON object on one line, without a line's end.
#[must_use]
pub fn json(observations: &Observations, verdicts: &Verdicts) -> String {
    let summary = Summary::of(observations, verdicts);
    let value = json!({
        "version": 1,
        "held": summary.held(),
        "conclusion": summary.conclusion(),
        "cut_short": observations.cut_short,
        "bottleneck": observations.bottleneck,
        "target": observations.target,
        "load": observations.load,
        "began": observations.began,
        "seconds": summary.seconds,
        "requests_per_second": summary.rate,
        "releases": observations.releases,
        "flips": {
            "count": observations.flips.len(),
            "failed": observations.flips.iter().filter(|flip| flip.returned_ns.is_none()).count(),
            "times": times(&summary.latencies.flips),
        },
        "verdicts": tally(&verdicts.total),
        "worst_late_ns": summary.latest_ns,
        "slow_over_ns": summary.slow_over().map(|over| over.as_nanos() as u64),
        "sessions": {
            "clients": verdicts.sessions.clients,
            "wronged": verdicts.sessions.wronged,
            "backwards": verdicts.sessions.backwards.len(),
        },
        "pages": pages(&summary),
        "times": {
            "all": times(&summary.latencies.all),
            "after_a_flip": windows(&summary),
        },
        "reconnects": observations.reconnects,
        "examples": examples::worst(&summary, TOLD).iter().map(example).collect::<Vec<_>>(),
    });
    value.to_string()
}

fn tally(tally: &Tally) -> Value {
    let Tally { ok, failed, mixed, stale, slow } = tally;
    json!({ "requests": tally.all(), "ok": ok, "failed": failed, "mixed": mixed, "stale": stale, "slow": slow })
}

fn pages(summary: &Summary<'_>) -> Vec<Value> {
    let tallied = summary.observed.pages.iter().zip(&summary.verdicts.by_page);
    tallied.map(|(page, of)| json!({ "page": page, "verdicts": tally(of) })).collect()
}

fn windows(summary: &Summary<'_>) -> Vec<Value> {
    let window = |(window, spread): &(crate::latency::Window, Spread)| json!({ "up_to_ms": window.up_to.map(|limit| limit.as_millis() as u64), "times": times(spread) });
    summary.latencies.windows.iter().map(window).collect()
}

fn times(spread: &Spread) -> Value {
    let ns = |percent: f64| spread.percent(percent).as_nanos() as u64;
    json!({
        "count": spread.count(),
        "p50_ns": ns(50.0),
        "p99_ns": ns(99.0),
        "p999_ns": ns(99.9),
        "max_ns": spread.max().as_nanos() as u64,
    })
}

fn example(example: &examples::Example<'_>) -> Value {
    json!({
        "response": example.number,
        "page": example.page,
        "client": example.response.client,
        "verdict": example.verdict,
        "said": example.said,
        "when": example.when,
        "sent_ns": example.response.sent_ns,
        "done_ns": example.response.done_ns,
    })
}
