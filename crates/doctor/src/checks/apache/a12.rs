//! A12: mod_php runs files through the link, and nothing pins.

use super::{PIN, each, unpinned};
use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;
use crate::facts::apache::handler::Runs;
use crate::finding::{Finding, told};

/// The check.
pub const CHECK: Check = Check {
    id: "A12",
    severity: Severity::Error,
    title: "mod_php behind a linked root that nothing pins",
    visitor: "A request beside a flip gets parts of two releases, and old code goes on answering for minutes.",
    page: include_str!("../../../../../docs/doctor/A12.md"),
    look,
};

fn look(facts: &Facts) -> Verdict {
    each(facts, |apache| {
        let found = unpinned(apache).filter_map(|(place, flipping, runs)| match runs {
            Runs::Fpm(_) => None,
            Runs::Module(handler) => {
                let link = told(&flipping.link);
                let what =
                    format!("mod_php runs what is below {} through the link {link}", told(&place.path));
                let finding = Finding::at(&place.at, what, PIN).also("what runs PHP", &handler.at);
                Some(flipping.weighed(finding))
            }
        });
        found.collect()
    })
}
