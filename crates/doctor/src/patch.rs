//! Patch: what fixes change, file by file; each file as it was read, and as it would be.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::finding::{Edit, Finding};
use crate::report::Report;
use crate::source::{Source, Sources, Span};

/// A file before and after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patch {
    /// The file.
    pub path: PathBuf,
    /// What was read.
    pub before: String,
    /// What should stand there.
    pub after: String,
    /// What it puts right, each check once.
    pub fixes: Vec<&'static str>,
}

/// What all fixes together change, and how many could not be taken because they want the same place as another.
pub fn patches(report: &Report, sources: &Sources) -> (Vec<Patch>, usize) {
    let mut files: BTreeMap<PathBuf, Changes> = BTreeMap::new();
    let mut left = 0;
    for (check, finding) in report.findings().filter(|(_, finding)| !finding.fix.edits.is_empty()) {
        match changes(finding, sources) {
            Some(changes) if fits(&files, &changes) => {
                for (path, change) in changes {
                    let known = files.entry(path).or_default();
                    known.fixes.extend((!known.fixes.contains(&check.id)).then_some(check.id));
                    if !known.changes.contains(&change) {
                        known.changes.push(change);
                    }
                }
            }
            Some(_) | None => left += 1,
        }
    }
    let patches = files.into_iter().filter_map(|(path, changes)| {
        let source = sources.get(&path)?;
        let after = changes.applied(source);
        Some(Patch { path, before: source.text.to_string(), after, fixes: changes.fixes })
    });
    (patches.collect(), left)
}

#[derive(Debug, Default)]
struct Changes {
    changes: Vec<Change>,
    fixes: Vec<&'static str>,
}

/// Bytes that are replaced; none: an insertion.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Change {
    from: usize,
    to: usize,
    with: String,
}

impl Change {
    fn overlaps(&self, other: &Change) -> bool {
        // Two insertions at one place stand one behind the other.
        self != other && self.from < other.to && other.from < self.to
    }
}

impl Changes {
    fn applied(&self, source: &Source) -> String {
        let mut changes = self.changes.clone();
        changes.sort_by_key(|change| (change.from, change.to));
        let mut after = String::with_capacity(source.text.len());
        let mut at = 0;
        for change in &changes {
            after.push_str(source.text.get(at..change.from).unwrap_or_default());
            after.push_str(&change.with);
            at = change.to;
        }
        after.push_str(source.text.get(at..).unwrap_or_default());
        after
    }
}

/// One fix's changes: all of them, or none.
fn changes(finding: &Finding, sources: &Sources) -> Option<Vec<(PathBuf, Change)>> {
    finding.fix.edits.iter().map(|edit| change(edit, sources)).collect()
}

fn change(edit: &Edit, sources: &Sources) -> Option<(PathBuf, Change)> {
    let at = match edit {
        Edit::Replace { at, .. } | Edit::Below { at, .. } | Edit::Above { at, .. } | Edit::Delete { at } => {
            at
        }
    };
    let source = sources.get(&at.file)?;
    let (begin, end) = line(source, at)?;
    let newline = if at.text.len() < end - begin { "" } else { "\n" };
    let change = match edit {
        Edit::Replace { at, with } => Change { from: begin + at.from, to: begin + at.to, with: with.clone() },
        Edit::Below { lines, .. } => Change { from: end, to: end, with: format!("{newline}{lines}\n") },
        Edit::Above { lines, .. } => Change { from: begin, to: begin, with: format!("{lines}\n") },
        Edit::Delete { .. } => Change { from: begin, to: end, with: String::new() },
    };
    Some((at.file.to_path_buf(), change))
}

/// Where a line begins and ends, its line break included; `None`: it reads otherwise than when it was judged.
fn line(source: &Source, at: &Span) -> Option<(usize, usize)> {
    let begin = source.begins(at.line)?;
    let rest = source.text.get(begin..)?;
    let whole = rest.split_inclusive('\n').next().unwrap_or("");
    let same = whole.trim_end_matches(['\n', '\r']) == &*at.text;
    same.then_some((begin, begin + whole.len()))
}

fn fits(files: &BTreeMap<PathBuf, Changes>, changes: &[(PathBuf, Change)]) -> bool {
    changes.iter().all(|(path, change)| {
        let known = files.get(path as &Path).map_or(&[][..], |known| &known.changes);
        !known.iter().any(|other| other.overlaps(change))
    })
}
