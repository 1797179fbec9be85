//! P18: opcache.enable_file_override is on.

use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;

/// The check.
pub const CHECK: Check = Check {
    id: "P18",
    severity: Severity::Warning,
    title: "opcache answers for the disk",
    visitor: "file_exists() finds files of releases that are gone.",
    page: include_str!("../../../../../docs/doctor/P18.md"),
    look,
};

fn look(facts: &Facts) -> Verdict {
    let keeps = facts.phps().filter(|php| php.keeps_code());
    let found = keeps.map(|php| php.ini("opcache.enable_file_override")).filter(|setting| setting.on());
    found.map(|setting| setting.wrong("file_exists(), is_file() and is_readable() are answered from the cache, also for files that were deleted", "0")).collect()
}
