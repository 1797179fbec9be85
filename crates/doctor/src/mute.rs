//! Mute: findings that are known and accepted: by a line of cutover.toml with a reason, or by a baseline.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::check::Check;
use crate::facts::glob;
use crate::finding::Finding;
use crate::report::Report;

/// What is not told any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ignore {
    /// The check.
    pub check: String,
    /// Only where it stands in this file, or in one that this pattern names; `None`: everywhere.
    pub path: Option<PathBuf>,
    /// Why; it is told with what is ignored.
    pub reason: String,
}

/// A finding that is not told.
#[derive(Debug, Clone)]
pub struct Muted {
    /// The check.
    pub check: &'static Check,
    /// What it found.
    pub finding: Finding,
    /// Why it is not told.
    pub reason: String,
}

/// Why what a baseline knows is not told.
const KNOWN: &str = "known by the baseline";

/// What a finding is known by from one run to the next: its check, its file and the line's text, but not the line's
/// number, which changes with every line above it.
pub fn mark(check: &Check, finding: &Finding) -> String {
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    match &finding.at {
        Some(at) => format!("{} {}: {}", check.id, at.file.display(), words(&at.text)),
        None => format!("{} {}", check.id, words(&finding.what)),
    }
}

/// A baseline of all that is found now: a line for each finding.
pub fn baseline(report: &Report) -> String {
    let marks: BTreeSet<String> = report.findings().map(|(check, finding)| mark(check, finding)).collect();
    let mut text =
        String::from("# What `cutover doctor` knew when this was written, and does not tell again.\n");
    for mark in marks {
        text.push_str(&mark);
        text.push('\n');
    }
    text
}

impl Report {
    /// Takes out what is ignored.
    pub fn ignore(&mut self, ignores: &[Ignore]) {
        self.mute(|check, finding| {
            ignores.iter().find(|ignore| ignore.fits(check, finding)).map(|ignore| ignore.reason.clone())
        });
    }

    /// Takes out what a baseline knows.
    pub fn known(&mut self, baseline: &str) {
        let marks: BTreeSet<&str> = baseline.lines().map(str::trim).collect();
        self.mute(|check, finding| marks.contains(&*mark(check, finding)).then(|| KNOWN.to_owned()));
    }

    fn mute(&mut self, why: impl Fn(&Check, &Finding) -> Option<String>) {
        for (check, verdict) in &mut self.judged {
            for finding in std::mem::take(&mut verdict.findings) {
                match why(check, &finding) {
                    Some(reason) => self.muted.push(Muted { check, finding, reason }),
                    None => verdict.findings.push(finding),
                }
            }
        }
    }
}

impl Ignore {
    fn fits(&self, check: &Check, finding: &Finding) -> bool {
        let there = match (&self.path, &finding.at) {
            (None, _) => true,
            (Some(path), Some(at)) => fits(&path.to_string_lossy(), &at.file.to_string_lossy()),
            // A finding that stands in no file may name one.
            (Some(path), None) => finding.what.contains(&*path.to_string_lossy()),
        };
        self.check.eq_ignore_ascii_case(check.id) && there
    }
}

/// Part by part, so that `*` does not reach beyond a slash; a path below the one that is named fits too.
fn fits(pattern: &str, path: &str) -> bool {
    let mut parts = path.split('/');
    pattern
        .trim_end_matches('/')
        .split('/')
        .all(|pattern| parts.next().is_some_and(|part| glob::matches(pattern.as_bytes(), part.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ignored_path_is_a_pattern_and_covers_what_is_below_it() {
        for (pattern, path, expected) in [
            ("/etc/nginx/sites-enabled/*", "/etc/nginx/sites-enabled/shop", true),
            ("/etc/nginx", "/etc/nginx/sites-enabled/shop", true),
            ("/etc/nginx/", "/etc/nginx/nginx.conf", true),
            ("/etc/*/nginx.conf", "/etc/nginx/nginx.conf", true),
            ("/etc/ngin", "/etc/nginx/nginx.conf", false),
            ("/etc/nginx/a/b", "/etc/nginx/a", false),
        ] {
            assert_eq!(fits(pattern, path), expected, "{pattern} {path}");
        }
    }
}
