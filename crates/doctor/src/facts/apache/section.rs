//! Section: which paths a `<Directory>` is about. Apache compares the path as it is spelled, links not followed.

use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

use super::directive::Directive;
use crate::facts::glob;

/// Whether a `<Directory>` is about a directory or what is below it; a regular expression counts as fitting.
pub fn covers(section: &Directive, path: &Path) -> bool {
    if section.is_regex() {
        return true;
    }
    let mut parts = names(path);
    names(Path::new(section.dir())).all(|pattern| {
        parts.next().is_some_and(|part| {
            pattern == part
                || (pattern.contains(&b'*') || pattern.contains(&b'?') || pattern.contains(&b'['))
                    && glob::matches(pattern, part)
        })
    })
}

/// Whether all the sections around a directive leave it to apply to files below a directory.
pub fn applies(within: &[&Directive], docroot: &Path) -> bool {
    within
        .iter()
        .filter(|section| section.name.starts_with("directory"))
        .all(|section| covers(section, docroot) || Path::new(section.dir()).starts_with(docroot))
}

fn names(path: &Path) -> impl Iterator<Item = &[u8]> {
    path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.as_bytes()),
        Component::RootDir | Component::CurDir | Component::ParentDir | Component::Prefix(_) => None,
    })
}
