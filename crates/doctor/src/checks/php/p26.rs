//! P26: auto_prepend_file or auto_append_file names a path through the link.

use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;
use crate::finding::told;
use std::path::Path;

/// The check.
pub const CHECK: Check = Check {
    id: "P26",
    severity: Severity::Warning,
    title: "a file that PHP prepends lies behind the link",
    visitor: "Each page mixes the prepended file of one release with the code of another.",
    page: include_str!("../../../../../docs/doctor/P26.md"),
    look,
};

fn look(facts: &Facts) -> Verdict {
    let keys = ["auto_prepend_file", "auto_append_file"];
    let found = facts.phps().flat_map(|php| keys.map(|key| php.ini(key))).filter_map(|setting| {
        let app = facts.apps.iter().find(|app| app.is_through_link(Path::new(&setting.value)))?;
        let why = format!(
            "{} is followed for this file by itself, so it may come from another release than the page",
            told(&app.current.path)
        );
        let mut finding = setting.wrong(&why, "");
        finding.fix.text =
            "include it in the front controller by __DIR__, or move it out of the releases".into();
        Some(finding)
    });
    found.collect()
}
