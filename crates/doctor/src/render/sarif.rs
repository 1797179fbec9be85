//! SARIF: findings for code scanners (SARIF 2.1.0).

use serde_json::{Value, json};

use crate::check::{Check, Severity};
use crate::checks;
use crate::finding::Finding;
use crate::mute::mark;
use crate::report::Report;
use crate::source::Span;

/// The report as a SARIF log with one run.
pub fn render(report: &Report) -> Value {
    let rules: Vec<Value> = checks::all().map(rule).collect();
    let results: Vec<Value> = report.findings().map(|(check, finding)| result(check, finding)).collect();
    let muted = report.muted.iter().map(|muted| {
        let mut result = result(muted.check, &muted.finding);
        result["suppressions"] = json!([{ "kind": "external", "justification": muted.reason }]);
        result
    });
    let unseen: Vec<Value> = report
        .blind
        .iter()
        .map(|blind| {
            let mut note = json!({
                "level": "note",
                "message": { "text": format!("could not be looked at: {}: {}", blind.what, blind.why) },
            });
            if let Some(at) = &blind.at {
                note["locations"] = json!([{ "physicalLocation": location(at) }]);
            }
            note
        })
        .collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "cutover doctor",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            }},
            "columnKind": "unicodeCodePoints",
            "results": results.into_iter().chain(muted).collect::<Vec<_>>(),
            "invocations": [{ "executionSuccessful": true, "toolExecutionNotifications": unseen }],
        }],
    })
}

fn rule(check: &Check) -> Value {
    json!({
        "id": check.id,
        "shortDescription": { "text": check.title },
        "fullDescription": { "text": check.visitor },
        "help": { "text": check.page, "markdown": check.page },
        "defaultConfiguration": { "level": level(check.severity) },
    })
}

fn result(check: &Check, finding: &Finding) -> Value {
    let fix = &finding.fix.text;
    let text = if fix.is_empty() { finding.what.clone() } else { format!("{}. Fix: {fix}", finding.what) };
    let mut result = json!({
        "ruleId": check.id,
        "level": level(check.severity),
        "message": { "text": text },
        "partialFingerprints": { "cutoverDoctor/v1": mark(check, finding) },
        "relatedLocations": finding.also.iter().enumerate().map(|(id, (why, at))| json!({
            "id": id + 1,
            "message": { "text": why },
            "physicalLocation": location(at),
        })).collect::<Vec<_>>(),
    });
    if let Some(at) = &finding.at {
        result["locations"] = json!([{ "physicalLocation": location(at) }]);
    }
    result
}

fn location(at: &Span) -> Value {
    let column = |byte: usize| at.text.get(..byte).map_or(byte, |before| before.chars().count()) + 1;
    json!({
        "artifactLocation": { "uri": uri(&at.file.to_string_lossy()) },
        "region": {
            "startLine": at.line,
            "startColumn": column(at.from),
            "endColumn": column(at.to),
            "snippet": { "text": *at.text },
        },
    })
}

/// RFC 8089, for an absolute path; a relative one as it is.
fn uri(path: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
    let escaped: String = path
        .bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect();
    if escaped.starts_with('/') { format!("file://{escaped}") } else { escaped }
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "note",
        Severity::Warning => "warning",
        Severity::Error => "error",
    }
}
