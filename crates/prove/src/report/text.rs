//! The report for a terminal.

use crate::latency::{Latencies, Spread};
use crate::observations::{Observations, Seen};
use crate::verdict::{Tally, Verdict, Verdicts};
use std::fmt::{self, Write as _};
use std::time::Duration;

/// How many convictions are told one by one.
const TOLD: usize = 8;

/// The whole report, several lines, each ended.
#[must_use]
pub fn text(observations: &Observations, verdicts: &Verdicts) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail; should it ever, the report is shorter, the verdict unharmed.
    write(&mut out, observations, verdicts).map_or_else(|_| String::from("(no report)\n"), |()| out)
}

fn write(out: &mut String, observations: &Observations, verdicts: &Verdicts) -> fmt::Result {
    let latencies = Latencies::of(observations);
    let seconds = Duration::from_nanos(observations.took_ns).as_secs_f64();
    let Tally { failed, mixed, stale, .. } = verdicts.total;
    let (requests, flips) = (verdicts.total.all(), observations.flips.len());
    let rate = if seconds > 0.0 { requests as f64 / seconds } else { 0.0 };
    if let Some(why) = &observations.cut_short {
        writeln!(out, "CUT SHORT: {why}; what follows is about the part that ran")?;
    }
    writeln!(out, "requests {requests} in {seconds:.1} s ({rate:.0}/s), flips {flips}")?;
    writeln!(out, "failed {failed}, mixed {mixed}, stale {stale}")?;

    let width = observations.pages.iter().map(|page| page.chars().count()).max().unwrap_or(0).max(4);
    writeln!(out, "\n{:width$} {:>9} {:>7} {:>7} {:>7}", "page", "requests", "failed", "mixed", "stale")?;
    for (page, tally) in observations.pages.iter().zip(&verdicts.by_page) {
        let Tally { failed, mixed, stale, .. } = tally;
        writeln!(out, "{page:width$} {:>9} {failed:>7} {mixed:>7} {stale:>7}", tally.all())?;
    }

    writeln!(out, "\n{:22} {:>9} {:>9} {:>9} {:>9}", "times", "count", "p50", "p99", "max")?;
    row(out, "answers", &latencies.all)?;
    for (window, spread) in &latencies.windows {
        let name = match window.up_to {
            Some(limit) => format!("  until {limit:?} of a flip"),
            None => "  later, or no flip".to_owned(),
        };
        row(out, &name, spread)?;
    }
    row(out, "flips", &latencies.flips)?;
    if observations.reconnects > 0 {
        writeln!(out, "\n{} idle kept connections were closed by the server", observations.reconnects)?;
    }
    convictions(out, observations, verdicts)
}

fn row(out: &mut String, name: &str, spread: &Spread) -> fmt::Result {
    if spread.count() == 0 {
        return Ok(());
    }
    let [p50, p99] = [50.0, 99.0].map(|percent| short(spread.percent(percent)));
    writeln!(out, "{name:22} {:>9} {p50:>9} {p99:>9} {:>9}", spread.count(), short(spread.max()))
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

fn convictions(out: &mut String, observations: &Observations, verdicts: &Verdicts) -> fmt::Result {
    if verdicts.convicted.is_empty() {
        return Ok(());
    }
    writeln!(out, "\nfirst of {} that are not ok:", verdicts.convicted.len())?;
    for (at, verdict) in verdicts.convicted.iter().take(TOLD) {
        let Some(response) = observations.responses.get(*at) else { continue };
        let page = observations.pages.get(response.page as usize).map_or("?", String::as_str);
        let sent_ms = response.sent_ns as f64 / 1e6;
        let took = short(Duration::from_nanos(response.done_ns.saturating_sub(response.sent_ns)));
        let what = match verdict {
            Verdict::Ok => continue,
            Verdict::Slow => "slow".to_owned(),
            Verdict::Failed => "failed".to_owned(),
            Verdict::Mixed => "mixed".to_owned(),
            Verdict::Stale { late_ns: Some(late) } => {
                format!("stale by {}", short(Duration::from_nanos(*late)))
            }
            Verdict::Stale { late_ns: None } => "not live yet".to_owned(),
        };
        let said = match &response.seen {
            Seen::Of(release) => observations.release(*release).to_owned(),
            Seen::AnyOf(any) => names(observations, any, " or "),
            Seen::Parts(parts) => names(observations, parts, " and "),
            Seen::Wrong(why) => why.to_string(),
        };
        writeln!(out, "  {page} sent at {sent_ms:.3} ms, took {took}: {what}: {said}")?;
    }
    Ok(())
}

pub(super) fn names(observations: &Observations, numbers: &[u32], between: &str) -> String {
    numbers.iter().map(|number| observations.release(*number)).collect::<Vec<_>>().join(between)
}
