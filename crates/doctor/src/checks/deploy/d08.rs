//! D08: pages may be cached for longer than old releases are kept.

use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;
use crate::finding::Finding;

/// The check.
pub const CHECK: Check = Check {
    id: "D08",
    severity: Severity::Warning,
    title: "pages are cached longer than their assets are kept",
    visitor: "A cached page asks for styles and scripts that are gone.",
    page: include_str!("../../../../../docs/doctor/D08.md"),
    look,
};

fn look(facts: &Facts) -> Verdict {
    let found = facts.apps.iter().filter_map(|app| {
        let ours = app.ours.as_ref()?;
        let kept = ours.config.host.app.keep_for.as_secs();
        let pages = ours.config.says.cache.iter().filter(|rule| ["/", "/index.html"].iter().any(|page| rule.path.matches(page)));
        let (rule, seconds) = pages.filter_map(|rule| Some((rule, age(&rule.control)?))).find(|(_, seconds)| *seconds > kept)?;
        let line = ours.source.text.lines().position(|line| line.contains(&rule.control));
        let what = format!("pages may be kept by caches for {seconds} seconds, and the release whose assets they name for {kept}");
        let fix = format!("keep_for = \"{seconds}s\" in [app], or pages that caches ask about again: no-cache");
        Some(Finding { at: line.map(|line| ours.source.line(line + 1)), ..Finding::anywhere(what, fix) })
    });
    found.collect()
}

/// For how long a shared cache may keep an answer, in seconds (RFC 9111, 5.2.2).
fn age(control: &str) -> Option<u64> {
    let said = |name: &str| {
        let mut words = control.split(',').map(str::trim);
        words.find_map(|word| word.strip_prefix(name)?.strip_prefix('=')?.trim_matches('"').parse().ok())
    };
    said("s-maxage").or_else(|| said("max-age"))
}
