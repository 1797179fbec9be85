//! Show: what the demo says as it goes, and its verdict.

use crate::server::Server;
use crate::site::Site;
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

/// Something that was done to the site, beneath a step; over the line that changes, where there is one.
pub fn act(kind: &str, what: &str) {
    println!("{}    {kind:<9} {what}", clear());
}

/// What Cutover said to it.
pub fn quote(said: &str) {
    for line in said.lines() {
        println!("{}              | {line}", clear());
    }
}

fn clear() -> &'static str {
    // Carriage return, erase to the end of the line (ECMA-48).
    if std::io::stdout().is_terminal() { "\r\x1b[K" } else { "" }
}

/// Shows how far the run is: one line that changes on a terminal, one at the end elsewhere.
pub async fn progress(progress: Arc<Progress>) {
    let live = std::io::stdout().is_terminal();
    while !progress.is_stopped() {
        tokio::time::sleep(Duration::from_millis(200)).await;
        if live {
            line(&progress);
        }
    }
    line(&progress);
    println!();
}

fn line(progress: &Progress) {
    let (answered, suspect) = (progress.answered(), progress.suspect());
    print!("{}    {answered:>9} answers read, {suspect} of them suspect", clear());
    // A closed stdout is no reason to end a run; the next println says so.
    std::io::stdout().flush().unwrap_or_default();
}

/// Judges, says all of it, and gives whether the promise held.
///
/// # Errors
/// When the observations cannot be judged.
pub fn verdict(observed: &Observations, edits: &Edits) -> Result<bool, Stuck> {
    let verdicts = judge(observed).trying(|| "cannot judge what was observed".to_owned())?;
    let held = verdicts.holds() && edits.lost.is_empty() && observed.cut_short.is_none();
    if !held {
        println!("\n{}", report::text(observed, &verdicts));
    }
    for (page, line) in edits.lost.iter().take(8) {
        println!("  lost from {page}: {line}");
    }
    let times = Latencies::of(observed);
    let row = |name: &str, spread: &prove::latency::Spread| {
        let [p50, p99] = [50.0, 99.0].map(|percent| report::short(spread.percent(percent)));
        println!("  {name:12} p50 {p50:>8}   p99 {p99:>8}   max {:>8}", report::short(spread.max()));
    };
    let total = verdicts.total;
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
    row("answer times", &times.all);
    println!();
    Ok(held)
}

/// How to look at what is left, and how to end it.
pub fn left_running(address: SocketAddr, server: &Server, site: &Site, cutover: &Path) {
    let (cutover, root, source) = (cutover.display(), site.root.display(), site.source.display());
    say(&format!("the wiki is left running at http://{address}/ (pid {})", server.pid()));
    println!(
        "  deploy it yourself   edit {source}/public/lib/tpl/dokuwiki/main.php, then: {cutover} -C {root} deploy"
    );
    println!("  look                 {cutover} -C {root} releases");
    println!("  go back              {cutover} -C {root} rollback");
    println!("  stop it              make demo ARGS=--stop");
}
