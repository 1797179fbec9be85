//! A10: lima-city's mod_realdoc comes after mod_rewrite.

use super::{each, linked, realdoc};
use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;
use crate::facts::apache::Apache;
use crate::facts::apache::directive::{Directive, Seen};
use crate::facts::apache::pinning::Fork;
use crate::finding::{Edit, Finding, Fix};

/// The check.
pub const CHECK: Check = Check {
    id: "A10",
    severity: Severity::Warning,
    title: "a rewrite that mod_realdoc comes too late for",
    visitor: "What this rule leads to is not pinned: beside a flip it may be of another release.",
    page: include_str!("../../../../../docs/doctor/A10.md"),
    look,
};

/// Flags with which a rule names no file itself.
const ELSEWHERE: [&str; 6] = ["pt", "passthrough", "p", "proxy", "f", "g"];

fn look(facts: &Facts) -> Verdict {
    each(facts, judged)
}

fn judged(apache: &Apache) -> Vec<Finding> {
    let Some((Fork::Lima, loaded)) = realdoc(apache) else { return Vec::new() };
    let mut found = Vec::new();
    for (site, _) in linked(apache).filter(|(site, _)| apache.pins(site)) {
        let on = apache.setting(site, "rewriteengine").is_some_and(|set| set.says("on"));
        let rules = site.own("rewriterule").into_iter().filter(|rule| on && rule.is_servers());
        found.extend(rules.filter(names_file).filter_map(|rule: Seen<'_>| {
            let target = rule.directive.words.get(1)?;
            let what =
                format!("RewriteRule makes {} a file before mod_realdoc has pinned the root", target.text);
            let fix = Fix::from("let the URL be looked up again: add the flag PT");
            let fix = edit(rule.directive).into_iter().fold(fix, Fix::edit);
            Some(Finding::at(&rule.directive.at, what, fix).also("mod_realdoc", loaded))
        }));
    }
    found
}

fn names_file(rule: &Seen<'_>) -> bool {
    let flags = rule.directive.word(2).trim_matches(['[', ']']).to_lowercase();
    let mut names = flags.split(',').map(|flag| flag.split('=').next().unwrap_or("").trim());
    let elsewhere =
        names.any(|name| ELSEWHERE.contains(&name) || name == "r" || name.starts_with("redirect"));
    rule.directive.word(1).starts_with('/') && !elsewhere
}

fn edit(rule: &Directive) -> Option<Edit> {
    let last = rule.words.last().filter(|last| last.at != rule.at)?;
    let with = match (rule.words.len(), last.at.meant().strip_suffix(']')) {
        (2, _) => format!("{} [PT]", last.at.meant()),
        (_, Some(flags)) => format!("{flags},PT]"),
        (_, None) => return None,
    };
    // A quote would come to stand between the two.
    let quoted = last.at.text[last.at.to..].starts_with(['"', '\'']);
    (!quoted).then(|| Edit::Replace { at: last.at.clone(), with })
}
