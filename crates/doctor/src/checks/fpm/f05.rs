//! F05: include_path names a path through the link.

use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;
use crate::finding::told;
use std::path::Path;

/// The check.
pub const CHECK: Check = Check {
    id: "F05",
    severity: Severity::Warning,
    title: "the include path leads through the link",
    visitor: "A page takes included files from another release than its own.",
    page: include_str!("../../../../../docs/doctor/F05.md"),
    look,
};

fn look(facts: &Facts) -> Verdict {
    let found = facts.phps().filter_map(|php| {
        // incpath resolves it for each request.
        if php.files.loads("incpath") {
            return None;
        }
        let include = php.ini("include_path");
        let mut dirs = include.value.split(':').map(Path::new);
        let app = facts.apps.iter().find(|app| dirs.any(|dir| app.is_through_link(dir)))?;
        let why = format!("{} is followed for each included file by itself", told(&app.current.path));
        let mut finding = include.wrong(&why, ".:/usr/share/php");
        finding.fix.text =
            "include by __DIR__ or Composer's autoloader, or set_include_path() in the front controller"
                .into();
        finding.fix.edits.clear();
        Some(finding)
    });
    found.collect()
}
