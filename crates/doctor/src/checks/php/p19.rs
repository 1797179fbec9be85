//! P19: opcache.file_cache keeps compiled code by release, and nobody deletes it.

use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;
use std::path::Path;

/// The check.
pub const CHECK: Check = Check {
    id: "P19",
    severity: Severity::Warning,
    title: "compiled files of releases pile up on disk",
    visitor: "The disk fills up; after a restart code of a release that is gone may come back.",
    page: include_str!("../../../../../docs/doctor/P19.md"),
    look,
};

fn look(facts: &Facts) -> Verdict {
    let found = facts.phps().filter(|php| php.keeps_code()).filter_map(|php| {
        let dir = php.ini("opcache.file_cache");
        if dir.value.is_empty() || facts.orders.iter().any(|order| order.names(Path::new(&dir.value))) {
            return None;
        }
        let why =
            "each release leaves its compiled files there for good, for nothing that was found deletes them";
        let mut finding = dir.wrong(why, "");
        finding.fix.text = format!(
            "delete what belongs to a pruned release, in a hook after_prune or by cron; or leave it out: {}",
            finding.fix.text
        );
        Some(finding)
    });
    found.collect()
}
