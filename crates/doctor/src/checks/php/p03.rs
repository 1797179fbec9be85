//! P03: opcache.validate_timestamps is off, while PHP is given paths through the link.

use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;

/// The check.
pub const CHECK: Check = Check {
    id: "P03",
    severity: Severity::Error,
    title: "opcache never looks at files, and PHP gets paths with links",
    visitor: "The old release is served until PHP is restarted, whatever is live.",
    page: include_str!("../../../../../docs/doctor/P03.md"),
    look,
};

fn look(facts: &Facts) -> Verdict {
    let found = facts.phps().filter(|php| php.keeps_code()).filter_map(|php| {
        let validates = php.ini("opcache.validate_timestamps");
        let linked = facts.linked(php).filter(|_| !validates.on())?;
        let why = format!(
            "the script that {} first led to is run for ever; {}",
            linked.link.display(),
            linked.seen
        );
        // To look at files again is the lesser change; to pin, the better one.
        let mut finding = validates.wrong(&why, "1");
        finding.fix.text = format!(
            "give PHP paths without links (cutover nginx prints how, cutover serve does so); until then {}",
            finding.fix.text
        );
        Some(match &linked.at {
            Some(at) => finding.also("by this line", at),
            None => finding,
        })
    });
    found.collect()
}
