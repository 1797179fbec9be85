//! Text: findings for people, by check or by file: the line, what happens to the visitor, the fix.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use super::excerpt::excerpt;
use super::paint::{Paint, Tone, harmless};
use super::sizing;
use crate::check::{Check, Severity};
use crate::finding::{Blind, Finding, Sure};
use crate::report::Report;

/// What belongs together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// Findings of one check.
    Check,
    /// Findings in one file.
    File,
}

/// Places that are shown of one finding besides its own, at most.
const ALSO_MAX: usize = 4;

/// All findings, the worst first; what could not be looked at; and a count.
pub fn render(report: &Report, by: By, paint: Paint) -> String {
    let mut out = String::new();
    match by {
        By::Check => by_check(&mut out, report, paint),
        By::File => by_file(&mut out, report, paint),
    }
    if !report.blind.is_empty() {
        put(&mut out, &paint.of(Tone::Strong, "could not be looked at"));
        for blind in &report.blind {
            put(&mut out, &format!("  {}", blind_line(blind)));
        }
        out.push('\n');
    }
    out.push_str(&sizing::text(&report.sizings, paint));
    put(&mut out, &closing(report, paint));
    out
}

fn by_check(out: &mut String, report: &Report, paint: Paint) {
    let mut checks: Vec<_> =
        report.judged.iter().filter(|(_, verdict)| !verdict.findings.is_empty()).collect();
    checks.sort_by_key(|(check, _)| (std::cmp::Reverse(check.severity), check.id));
    for (check, verdict) in checks {
        put(out, &headline(check, paint));
        put(out, &format!("  {}", check.visitor));
        out.push('\n');
        for finding in &verdict.findings {
            put(out, &told(check, finding, paint));
        }
    }
}

fn by_file(out: &mut String, report: &Report, paint: Paint) {
    let mut files: BTreeMap<Option<&Path>, Vec<(&Check, &Finding)>> = BTreeMap::new();
    for (check, finding) in report.findings() {
        files.entry(finding.at.as_ref().map(|at| &*at.file)).or_default().push((check, finding));
    }
    for (file, mut findings) in files {
        let name = file.map_or("in no file".into(), |file| harmless(&file.display().to_string()));
        put(out, &paint.of(Tone::Strong, &name));
        out.push('\n');
        findings.sort_by_key(|(check, finding)| (finding.at.as_ref().map(|at| at.line), check.id));
        for (check, finding) in findings {
            put(out, &format!("  {}", headline(check, paint)));
            put(out, &told(check, finding, paint));
        }
    }
}

fn headline(check: &Check, paint: Paint) -> String {
    let tone = Tone::Bad(check.severity);
    let name = paint.of(tone, &format!("{} {}", check.severity, check.id));
    format!("{name}: {}", paint.of(Tone::Strong, check.title))
}

fn told(check: &Check, finding: &Finding, paint: Paint) -> String {
    let mut out = String::new();
    let sure = match finding.sure {
        Sure::Certain => "",
        Sure::Likely => " (likely: not all of it could be seen)",
    };
    put(&mut out, &format!("  {}{}", harmless(&finding.what), paint.of(Tone::Faint, sure)));
    if let Some(at) = &finding.at {
        put(&mut out, &format!("  {} {}:{}", paint.of(Tone::Faint, "  -->"), shown(&at.file), at.line));
        put(&mut out, &excerpt(at, Tone::Bad(check.severity), paint));
    }
    for (why, at) in finding.also.iter().take(ALSO_MAX) {
        let place = format!("{}:{}", shown(&at.file), at.line);
        put(&mut out, &format!("  {} {place}: {}", paint.of(Tone::Faint, "  and"), harmless(why)));
        put(&mut out, &excerpt(at, Tone::Faint, paint));
    }
    if finding.also.len() > ALSO_MAX {
        put(&mut out, &format!("    and {} more places", finding.also.len() - ALSO_MAX));
    }
    if !finding.fix.text.is_empty() {
        let exact = if finding.fix.edits.is_empty() { "" } else { " (--fix shows the lines)" };
        let mark = paint.of(Tone::Help, "fix:");
        put(&mut out, &format!("  {mark} {}{}", harmless(&finding.fix.text), paint.of(Tone::Faint, exact)));
    }
    out
}

fn blind_line(blind: &Blind) -> String {
    let place =
        blind.at.as_ref().map_or(String::new(), |at| format!(" (named in {}:{})", shown(&at.file), at.line));
    format!("{}: {}{place}", harmless(&blind.what), harmless(&blind.why))
}

/// `2 errors, 1 warning; 3 things could not be looked at; 1 ignored`.
fn closing(report: &Report, paint: Paint) -> String {
    let mut parts = Vec::new();
    let counts = [(Severity::Error, "error"), (Severity::Warning, "warning"), (Severity::Info, "hint")].map(
        |(severity, name)| {
            let count = report.findings().filter(|(check, _)| check.severity == severity).count();
            (count > 0).then(|| paint.of(Tone::Bad(severity), &many(count, name)))
        },
    );
    let counts: Vec<String> = counts.into_iter().flatten().collect();
    if !counts.is_empty() {
        parts.push(counts.join(", "));
    }
    match (report.blind.len(), parts.is_empty()) {
        (0, true) => parts.push(format!("clean: {} found nothing", many(report.judged.len(), "check"))),
        (0, false) => {}
        (blind, true) => {
            parts.push(format!("nothing found, but {} could not be looked at", many(blind, "thing")))
        }
        (blind, false) => parts.push(format!("{} could not be looked at", many(blind, "thing"))),
    }
    if !report.muted.is_empty() {
        parts.push(format!("{} ignored", report.muted.len()));
    }
    if report.findings().next().is_some() {
        parts.push("--explain ID tells more".into());
    }
    parts.join("; ")
}

fn many(count: usize, name: &str) -> String {
    format!("{count} {name}{}", if count == 1 { "" } else { "s" })
}

fn shown(path: &Path) -> String {
    harmless(&path.display().to_string())
}

fn put(out: &mut String, line: &str) {
    // Writing to a String cannot fail.
    writeln!(out, "{line}").unwrap_or_default();
}
