//! P05: a release has PHP files whose mtime is 0: opcache keeps none of them.

use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;
use crate::finding::{Finding, told};

/// The check.
pub const CHECK: Check = Check {
    id: "P05",
    severity: Severity::Error,
    title: "PHP files with no time are never cached",
    visitor: "Each request compiles these files again, at a multiple of the usual time.",
    page: include_str!("../../../../../docs/doctor/P05.md"),
    look,
};

fn look(facts: &Facts) -> Verdict {
    if !facts.phps().any(|php| php.keeps_code()) {
        return Verdict::clean();
    }
    let found = facts.apps.iter().filter_map(|app| app.live.as_ref()).filter_map(|tree| {
        let mut timeless = tree.php.iter().filter(|file| file.mtime == 0);
        let first = timeless.next()?;
        let what = format!(
            "{} PHP files of {} have the mtime 0, {} among them: opcache keeps none of them",
            timeless.count() + 1,
            told(&tree.root),
            first.path.display()
        );
        let fix = format!(
            "touch them when the release is made: find {} -name '*.php' -exec touch {{}} +",
            told(&tree.root)
        );
        Some(Finding::anywhere(what, fix))
    });
    found.collect()
}
