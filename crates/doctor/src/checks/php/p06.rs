//! P06: a file has the same mtime in two slots, and other content: opcache takes one for the other.

use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;
use crate::finding::{Finding, told};

/// The check.
pub const CHECK: Check = Check {
    id: "P06",
    severity: Severity::Warning,
    title: "slots have files of the same time and other content",
    visitor: "Old code is served under the new release, until PHP is restarted.",
    page: include_str!("../../../../../docs/doctor/P06.md"),
    look,
};

fn look(facts: &Facts) -> Verdict {
    if !facts.phps().any(|php| php.keeps_code()) {
        return Verdict::clean();
    }
    // Cutover itself makes opcache forget what it changes in a slot.
    let apps = facts.apps.iter().filter(|app| app.ours.is_none());
    let found = apps.filter_map(|app| {
        let first = app.slots_alike.first()?;
        let what = format!(
            "{} files have the same time and other content in the slots of {}, {} among them: when a slot is filled anew, opcache may take the old file for the new one",
            app.slots_alike.len(),
            told(&app.root),
            first.display()
        );
        let fix = "after filling a slot touch what changed in it, or opcache_invalidate() each such file with force";
        Some(Finding::anywhere(what, fix))
    });
    found.collect()
}
