//! JSON: the whole report for programs.

use serde_json::{Value, json};

use super::sizing;
use crate::check::Check;
use crate::finding::{Blind, Finding, Sure};
use crate::mute::mark;
use crate::report::Report;
use crate::source::Span;

/// The report as one object.
pub fn render(report: &Report) -> Value {
    let findings: Vec<Value> = report.findings().map(|(check, finding)| told(check, finding)).collect();
    let muted = report.muted.iter().map(|muted| {
        let mut told = told(muted.check, &muted.finding);
        told["reason"] = json!(muted.reason);
        told
    });
    json!({
        "findings": findings,
        "blind": report.blind.iter().map(blind).collect::<Vec<_>>(),
        "ignored": muted.collect::<Vec<_>>(),
        "sizing": sizing::json(&report.sizings),
        "checks": report.judged.len(),
    })
}

fn told(check: &Check, finding: &Finding) -> Value {
    json!({
        "check": check.id,
        "severity": check.severity.to_string(),
        "title": check.title,
        "visitor": check.visitor,
        "what": finding.what,
        "sure": match finding.sure {
            Sure::Certain => "certain",
            Sure::Likely => "likely",
        },
        "at": finding.at.as_ref().map(place),
        "also": finding.also.iter().map(|(why, at)| json!({ "why": why, "at": place(at) })).collect::<Vec<_>>(),
        "fix": finding.fix.text,
        "exact": !finding.fix.edits.is_empty(),
        "mark": mark(check, finding),
    })
}

fn blind(blind: &Blind) -> Value {
    json!({ "what": blind.what, "why": blind.why, "at": blind.at.as_ref().map(place) })
}

/// Columns from 1, in bytes.
fn place(at: &Span) -> Value {
    json!({ "file": at.file.display().to_string(), "line": at.line, "from": at.from + 1, "to": at.to + 1, "text": *at.text })
}
