//! Text: findings for people.

use std::fmt::Write;

use crate::report::Report;

/// All findings, and what could not be looked at.
pub fn render(report: &Report) -> String {
    let mut out = String::new();
    for (check, finding) in report.findings() {
        // Writing to a String cannot fail.
        writeln!(out, "{} {}: {}", check.severity, check.id, finding.what).unwrap_or_default();
    }
    for blind in &report.blind {
        writeln!(out, "not seen: {}: {}", blind.what, blind.why).unwrap_or_default();
    }
    out
}
