//! N03: what puts a parameter right is put wrong again by an include below it.

use super::{fix, overridden};
use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;
use crate::facts::nginx::Nginx;
use crate::facts::nginx::level::Level;
use crate::finding::{Edit, Finding, Fix};

/// The check.
pub const CHECK: Check = Check {
    id: "N03",
    severity: Severity::Error,
    title: "an include overrides the resolved path above it",
    visitor: "The line with $realpath_root has no effect: pages are made of parts of both releases.",
    page: include_str!("../../../../../docs/doctor/N03.md"),
    look,
};

fn look(facts: &Facts) -> Verdict {
    let levels = facts.nginx.iter().flat_map(|nginx| nginx.fastcgi().map(move |level| (nginx, level)));
    levels.flat_map(|(nginx, level)| judged(nginx, level)).collect()
}

fn judged(nginx: &Nginx, level: &Level) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    for name in ["SCRIPT_FILENAME", "DOCUMENT_ROOT"] {
        let Some(over) = overridden(nginx, level.id, name) else { continue };
        let again = fix::place(nginx, over.again, 1);
        let what =
            format!("{}: {name} is set again below, and of several PHP-FPM takes the last", level.told());
        let text = format!("move the include above every fastcgi_param; {}", fix::PIN);
        let mut edits = Vec::new();
        let first = nginx.levels.list(level.id, "fastcgi_param").1.into_iter().find(|param| {
            // The first of the lines that stand in this very file: the include goes above them all.
            param.at().file == again.file && param.alone()
        });
        if let Some(first) = first
            && nginx.owned(&again.file)
            && fix::alone(again)
        {
            edits.push(Edit::Above { at: first.at().clone(), lines: again.text.to_string() });
            edits.push(Edit::Delete { at: again.clone() });
        }
        // Both parameters of one include are put right by one move.
        let told = findings.iter().any(|finding| finding.also.iter().any(|(_, at)| at == again));
        if told {
            edits.clear();
        }
        let finding =
            Finding::at(over.right.at_arg(1), what, Fix { text, edits }).also("set again here", again);
        findings.push(nginx.as_sure(finding, over.seen));
    }
    findings
}
