//! F04: open_basedir allows the link, not the releases.

use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;
use crate::finding::told;
use std::path::Path;

/// The check.
pub const CHECK: Check = Check {
    id: "F04",
    severity: Severity::Error,
    title: "open_basedir ends where releases begin",
    visitor: "Each page fails as soon as PHP gets paths without links.",
    page: include_str!("../../../../../docs/doctor/F04.md"),
    look,
};

fn look(facts: &Facts) -> Verdict {
    let found = facts.phps().filter_map(|php| {
        let allowed = php.ini("open_basedir");
        let dirs: Vec<&Path> = allowed.value.split(':').filter(|dir| !dir.is_empty()).map(Path::new).collect();
        let app = facts.apps.iter().find(|app| dirs.iter().any(|dir| app.is_through_link(dir)))?;
        let releases = app.root.join("releases");
        if dirs.iter().any(|dir| releases.starts_with(dir)) {
            return None;
        }
        let why = format!(
            "{} is followed on each call, so a script of a release that is not live any more, or not yet, may open none of its own files",
            told(&app.current.path)
        );
        let to = format!("{}:{}", allowed.value, told(&releases));
        Some(allowed.wrong(&why, &to))
    });
    found.collect()
}
