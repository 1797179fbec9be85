//! The report for a terminal.

use super::examples;
use super::summary::{Summary, grouped, since_flip};
use crate::latency::Spread;
use crate::observations::Observations;
use crate::verdict::{Tally, Verdicts};
use std::fmt::{self, Write as _};
use std::time::Duration;

/// How many convictions of each kind are told one by one.
const TOLD: usize = 3;

/// The whole report, several lines, each ended. The last says whether the promise held.
#[must_use]
pub fn text(observations: &Observations, verdicts: &Verdicts) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail; should it ever, the report is shorter, the verdict unharmed.
    write(&mut out, &Summary::of(observations, verdicts))
        .map_or_else(|_| String::from("(no report)\n"), |()| out)
}

fn write(out: &mut String, summary: &Summary<'_>) -> fmt::Result {
    let Summary { observed, verdicts, .. } = summary;
    for (what, value) in [("target", &observed.target), ("load", &observed.load), ("began", &observed.began)]
    {
        if !value.is_empty() {
            writeln!(out, "{what:9} {value}")?;
        }
    }
    let Tally { ok, failed, mixed, stale, slow } = verdicts.total;
    let requests = verdicts.total.all();
    writeln!(
        out,
        "observed  {} requests in {:.1} s ({}/s) by {} clients, {} flips",
        grouped(requests),
        summary.seconds,
        grouped(summary.rate as u64),
        grouped(verdicts.sessions.clients),
        grouped(observed.flips.len() as u64),
    )?;
    write!(
        out,
        "verdicts  {} ok, {} failed, {} mixed, {} stale",
        grouped(ok),
        grouped(failed),
        grouped(mixed),
        grouped(stale)
    )?;
    if let Some(late) = summary.latest_ns {
        write!(out, " (by up to {})", short(Duration::from_nanos(late)))?;
    }
    if let Some(over) = summary.slow_over() {
        write!(out, ", {} slow (over {})", grouped(slow), short(over))?;
    }
    writeln!(out)?;
    writeln!(out, "sessions  {}", sessions(summary))?;

    let width = observed.pages.iter().map(|page| page.chars().count()).max().unwrap_or(0).max(4);
    writeln!(
        out,
        "\n{:width$} {:>10} {:>10} {:>8} {:>8} {:>8} {:>8}",
        "page", "requests", "ok", "failed", "mixed", "stale", "slow"
    )?;
    for (page, tally) in observed.pages.iter().zip(&verdicts.by_page) {
        let [all, ok, failed, mixed, stale, slow] =
            [tally.all(), tally.ok, tally.failed, tally.mixed, tally.stale, tally.slow].map(grouped);
        writeln!(out, "{page:width$} {all:>10} {ok:>10} {failed:>8} {mixed:>8} {stale:>8} {slow:>8}")?;
    }
    times(out, summary)?;
    if observed.reconnects > 0 {
        writeln!(out, "\n{} idle kept connections were closed by the server", grouped(observed.reconnects))?;
    }
    convictions(out, summary)?;
    writeln!(out)?;
    if let Some(why) = &observed.bottleneck {
        writeln!(out, "the load itself was the limit: {why}; times are partly the prover's own")?;
    }
    if let Some(why) = &observed.cut_short {
        writeln!(out, "CUT SHORT: {why}; all this is about the part that ran")?;
    }
    writeln!(out, "{}", summary.conclusion())
}

pub(super) fn sessions(summary: &Summary<'_>) -> String {
    let sessions = &summary.verdicts.sessions;
    match sessions.wronged {
        0 => "no client saw a newer release and then an older one".to_owned(),
        wronged => format!(
            "{} of {} clients saw a newer release and then an older one, in {} answers",
            grouped(wronged),
            grouped(sessions.clients),
            grouped(sessions.backwards.len() as u64)
        ),
    }
}

fn times(out: &mut String, summary: &Summary<'_>) -> fmt::Result {
    let latencies = &summary.latencies;
    writeln!(out, "\n{:26} {:>10} {:>9} {:>9} {:>9} {:>9}", "times", "count", "p50", "p99", "p99.9", "max")?;
    row(out, "answers", &latencies.all)?;
    let mut before = None;
    for (window, spread) in &latencies.windows {
        row(out, &format!("  {}", since_flip(before, *window)), spread)?;
        before = Some(*window);
    }
    row(out, "flips", &latencies.flips)
}

fn row(out: &mut String, name: &str, spread: &Spread) -> fmt::Result {
    if spread.count() == 0 {
        return Ok(());
    }
    let [p50, p99, p999] = [50.0, 99.0, 99.9].map(|percent| short(spread.percent(percent)));
    let (count, max) = (grouped(spread.count()), short(spread.max()));
    writeln!(out, "{name:26} {count:>10} {p50:>9} {p99:>9} {p999:>9} {max:>9}")
}

/// A duration in at most eight characters.
#[must_use]
pub fn short(time: Duration) -> String {
    let us = time.as_nanos() as f64 / 1_000.0;
    match us {
        _ if us < 1_000.0 => format!("{us:.0} us"),
        _ if us < 100_000.0 => format!("{:.1} ms", us / 1_000.0),
        _ if us < 10_000_000.0 => format!("{:.0} ms", us / 1_000.0),
        _ => format!("{:.1} s", us / 1_000_000.0),
    }
}

fn convictions(out: &mut String, summary: &Summary<'_>) -> fmt::Result {
    let convicted = summary.verdicts.convicted.len() as u64;
    if convicted > 0 {
        writeln!(out, "\nthe worst of {} that break the promise:", grouped(convicted))?;
    }
    for example in examples::worst(summary, TOLD) {
        let sent_ms = example.response.sent_ns as f64 / 1e6;
        let took = short(Duration::from_nanos(example.response.took_ns()));
        writeln!(out, "  {}: {}: {}", example.page, example.verdict, example.said)?;
        writeln!(out, "      sent at {sent_ms:.3} ms, {}; took {took}", example.when)?;
    }
    Ok(())
}
