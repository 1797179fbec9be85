//! D06: keep_for is shorter than a request may last.

use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;
use crate::finding::Finding;

/// The check.
pub const CHECK: Check = Check {
    id: "D06",
    severity: Severity::Warning,
    title: "releases are deleted sooner than requests may last",
    visitor: "A long request fails in its middle.",
    page: include_str!("../../../../../docs/doctor/D06.md"),
    look,
};

fn look(facts: &Facts) -> Verdict {
    let found = facts.apps.iter().filter_map(|app| {
        let ours = app.ours.as_ref()?;
        let kept = ours.config.host.app.keep_for.as_secs();
        let (seconds, pool) = facts.pools_of(app).into_iter().filter_map(|(_, pool)| Some((pool.seconds("request_terminate_timeout")?, pool))).max_by_key(|(seconds, _)| *seconds)?;
        if seconds <= kept {
            return None;
        }
        let line = ours.source.text.lines().position(|line| line.trim_start().starts_with("keep_for"));
        let what = format!("a release may be deleted {kept} seconds after it was live, and a request of {} may last {seconds}", pool.php.name);
        let fix = format!("keep_for = \"{seconds}s\" in [app]");
        let finding = Finding { at: line.map(|line| ours.source.line(line + 1)), ..Finding::anywhere(what, fix) };
        Some(match pool.line("request_terminate_timeout") {
            Some(line) => finding.also("so long may it last", &line.at),
            None => finding,
        })
    });
    found.collect()
}
