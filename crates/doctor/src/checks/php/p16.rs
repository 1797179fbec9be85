//! P16: opcache.revalidate_path is off, while PHP is given paths through the link.

use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;

/// The check.
pub const CHECK: Check = Check {
    id: "P16",
    severity: Severity::Warning,
    title: "opcache remembers where links led",
    visitor: "After a flip old code is served, and workers throw each other's code away.",
    page: include_str!("../../../../../docs/doctor/P16.md"),
    look,
};

fn look(facts: &Facts) -> Verdict {
    let found = facts.phps().filter(|php| php.keeps_code()).filter_map(|php| {
        let revalidates = php.ini("opcache.revalidate_path");
        // Where opcache does not look at files at all, P03 has said so.
        if revalidates.on() || !php.ini("opcache.validate_timestamps").on() {
            return None;
        }
        // Where a web server is set up to hand over such paths, its own check says so.
        let linked = facts.linked(php).filter(|linked| linked.at.is_none())?;
        let why = format!(
            "a path through {} is taken for the script that it led to at first; {}",
            linked.link.display(),
            linked.seen
        );
        let mut finding = revalidates.wrong(&why, "1");
        finding.fix.text = format!(
            "give PHP paths without links (cutover nginx, cutover serve); a little better than nothing is {}",
            finding.fix.text
        );
        Some(finding)
    });
    found.collect()
}
