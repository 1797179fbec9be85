//! Text: findings for people.

use std::fmt::Write;

use crate::check::{Check, Verdict};

/// All verdicts, the clean ones left out.
pub fn render(verdicts: &[(&Check, Verdict)]) -> String {
    let mut out = String::new();
    for (check, verdict) in verdicts {
        for finding in &verdict.findings {
            // Writing to a String cannot fail.
            writeln!(out, "{} {}: {}", check.severity, check.id, finding.what).unwrap_or_default();
        }
    }
    out
}
