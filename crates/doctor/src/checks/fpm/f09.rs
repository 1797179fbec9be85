//! F09: incpath's pattern is the beginning of another directory's name.

use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;
use crate::finding::told;
use std::path::{Path, PathBuf};

/// The check.
pub const CHECK: Check = Check {
    id: "F09",
    severity: Severity::Warning,
    title: "incpath replaces a part of another name",
    visitor: "Included files are not found, on some sites.",
    page: include_str!("../../../../../docs/doctor/F09.md"),
    look,
};

fn look(facts: &Facts) -> Verdict {
    let found = facts.phps().filter_map(|php| {
        let pattern = php.ini("incpath.search_replace_pattern");
        let path = Path::new(&pattern.value);
        let name = path.file_name()?.to_str().filter(|_| !pattern.value.ends_with('/'))?;
        let app = facts.apps.iter().find(|app| app.current.path.parent() == path.parent())?;
        let longer =
            |beside: &&PathBuf| beside.to_str().is_some_and(|other| other != name && other.starts_with(name));
        let other = app.beside.iter().find(longer)?;
        let why = format!("it is replaced as text, so it also matches in {}", told(app.root.join(other)));
        Some(pattern.wrong(&why, &format!("{}/", pattern.value)))
    });
    found.collect()
}
