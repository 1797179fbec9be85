//! A01: Etsy's mod_realdoc where threads serve.

use super::{each, linked, realdoc};
use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;
use crate::facts::apache::Apache;
use crate::facts::apache::modules::Mpm;
use crate::facts::apache::pinning::Fork;
use crate::finding::Finding;

/// The check.
pub const CHECK: Check = Check {
    id: "A01",
    severity: Severity::Error,
    title: "mod_realdoc with threads",
    visitor: "While requests overlap a flip, some get parts of two releases.",
    page: include_str!("../../../../../docs/doctor/A01.md"),
    look,
};

fn look(facts: &Facts) -> Verdict {
    each(facts, |apache| judged(apache).into_iter().collect())
}

fn judged(apache: &Apache) -> Option<Finding> {
    let (fork, at) = realdoc(apache)?;
    let mpm = match apache.modules.mpm()? {
        (Mpm::Prefork, _) => return None,
        (Mpm::Worker, module) => ("worker", module),
        (Mpm::Event, module) => ("event", module),
    };
    linked(apache).next()?;
    let what =
        format!("mod_realdoc is loaded, and the MPM is {}: its threads write into one another's root", mpm.0);
    let fix = "load mod_cutover in its place, which keeps the root with each request; or use mpm_prefork";
    let finding = Finding::at(at, what, fix).also("the MPM", &mpm.1.at);
    match fork {
        Fork::Etsy => Some(finding),
        Fork::Unknown => Some(finding.likely()),
        // It keeps the root with the request.
        Fork::Lima => None,
    }
}
