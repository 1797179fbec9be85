//! Show: what the demo says as it goes, and its verdict.

use crate::server::Server;
use crate::story::Edits;
use crate::stuck::{Stuck, Trying};
use prove::latency::Latencies;
use prove::progress::Progress;
use prove::{Observations, judge, report};
use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// One step.
pub fn say(what: &str) {
    println!("==> {what}");
}

/// Shows how far the run is: one line that changes on a terminal, a line every five seconds elsewhere.
pub async fn progress(progress: Arc<Progress>, flips: u64) {
    let live = std::io::stdout().is_terminal();
    let every = if live { 2 } else { 50 };
    let mut tick: u32 = 0;
    while !progress.is_stopped() {
        tokio::time::sleep(Duration::from_millis(100)).await;
        tick += 1;
        if tick.is_multiple_of(every) {
            line(&progress, flips, live);
        }
    }
    line(&progress, flips, live);
    if live {
        println!();
    }
}

fn line(progress: &Progress, flips: u64, live: bool) {
    let (begin, end) = if live { ("\r    ", "") } else { ("    ", "\n") };
    let (flipped, answered, suspect) = (progress.flipped(), progress.answered(), progress.suspect());
    print!(
        "{begin}{flipped:>4} of {flips} flips, {answered:>7} answers read, {suspect} of them suspect{end}"
    );
    // A closed stdout is no reason to end a run; the next println says so.
    std::io::stdout().flush().unwrap_or_default();
}

/// Judges, says all of it, and gives whether the promise held.
///
/// # Errors
/// When the observations cannot be judged.
pub fn verdict(observed: &Observations, edits: &Edits) -> Result<bool, Stuck> {
    let verdicts = judge(observed).trying(|| "cannot judge what was observed".to_owned())?;
    println!("\n{}", report::text(observed, &verdicts));
    for (page, line) in edits.lost.iter().take(8) {
        println!("  lost from {page}: {line}");
    }
    let times = Latencies::of(observed);
    let row = |name: &str, spread: &prove::latency::Spread| {
        let [p50, p99] = [50.0, 99.0].map(|percent| report::short(spread.percent(percent)));
        println!("  {name:12} p50 {p50:>8}   p99 {p99:>8}   max {:>8}", report::short(spread.max()));
    };
    let total = verdicts.total;
    let held = verdicts.holds() && edits.lost.is_empty() && observed.cut_short.is_none();
    say(if held { "verdict: one request, one release" } else { "verdict: the promise was broken" });
    for (name, count) in [
        ("requests", total.all()),
        ("failed", total.failed),
        ("mixed", total.mixed),
        ("stale", total.stale),
        ("lost edits", edits.lost.len() as u64),
    ] {
        println!("  {name:12} {count:>8}");
    }
    println!("  {:12} {:>8}", "edits saved", edits.acknowledged);
    println!("  {:12} {:>8}", "flips", observed.flips.len());
    row("flip times", &times.flips);
    row("answer times", &times.all);
    println!();
    Ok(held)
}

/// How to look at what is left, and how to end it.
pub fn left_running(address: SocketAddr, server: &Server, site: &Path, cutover: &Path) {
    say(&format!("the wiki is left running at http://{address}/ (pid {})", server.pid()));
    println!("  flip it yourself   {} -C {} flip r2", cutover.display(), site.display());
    println!("  stop it            make demo ARGS=--stop");
}
