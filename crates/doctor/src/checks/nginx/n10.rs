//! N10: two roots of a server lead to the same place by different links, which nobody can flip at once.

use super::fix;
use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;
use crate::facts::links::Way;
use crate::facts::nginx::Nginx;
use crate::facts::nginx::level::Level;
use crate::facts::nginx::parse::Directive;
use crate::finding::Finding;

/// The check.
pub const CHECK: Check = Check {
    id: "N10",
    severity: Severity::Warning,
    title: "one release by two links",
    visitor: "The links flip one after the other: in between one request gets files of both releases.",
    page: include_str!("../../../../../docs/doctor/N10.md"),
    look,
};

fn look(facts: &Facts) -> Verdict {
    facts.nginx.iter().flat_map(judged).collect()
}

fn judged(nginx: &Nginx) -> Vec<Finding> {
    let mut roots: Vec<(&Level, &Directive, &Way)> = Vec::new();
    for level in nginx.levels.all() {
        for root in level.own.iter().filter(|it| it.is("root") || it.is("alias")) {
            let known = roots.iter().any(|(_, other, _)| other.arg(0) == root.arg(0));
            if let (false, Some(way)) = (known, nginx.ways.get(std::path::Path::new(root.arg(0)))) {
                roots.push((level, root, way));
            }
        }
    }
    let mut findings = Vec::new();
    for (number, (_, root, way)) in roots.iter().enumerate() {
        let other = roots[..number].iter().find(|(_, _, other)| apart(way, other));
        if let Some((_, first, led)) = other {
            let what = format!(
                "{} leads into {} as {} does, but by another link",
                root.arg(0),
                way.real().unwrap_or(&way.path).display(),
                first.arg(0)
            );
            let text = format!("name it by the same link everywhere; {}", fix::PIN);
            let finding = Finding::at(root.at_arg(0), what, text);
            let by = led.last_flip().unwrap_or(&led.path).display();
            findings.push(nginx.as_sure(finding.also(format!("by {by}"), first.at_arg(0)), true));
        }
    }
    findings
}

/// Whether two ways lead into the same tree by links that are flipped apart.
fn apart(one: &Way, other: &Way) -> bool {
    let (Some(link), Some(other_link)) = (one.last_flip(), other.last_flip()) else { return false };
    let (Some(real), Some(other_real)) = (one.real(), other.real()) else { return false };
    link != other_link && (real.starts_with(other_real) || other_real.starts_with(real))
}
