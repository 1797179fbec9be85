//! A09: PHP-FPM gets paths through the link, and nothing pins.

use super::{PIN, each, unpinned};
use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;
use crate::facts::apache::handler::Runs;
use crate::finding::{Finding, told};

/// The check.
pub const CHECK: Check = Check {
    id: "A09",
    severity: Severity::Error,
    title: "PHP-FPM behind a linked root that nothing pins",
    visitor: "A request beside a flip gets parts of two releases, and old code goes on answering for minutes.",
    page: include_str!("../../../../../docs/doctor/A09.md"),
    look,
};

fn look(facts: &Facts) -> Verdict {
    each(facts, |apache| {
        let found = unpinned(apache).filter_map(|(place, flipping, runs)| match runs {
            Runs::Module(_) => None,
            Runs::Fpm(handler) if facts.gateways.named_in(handler.word(0)) => None,
            Runs::Fpm(handler) => {
                let link = told(&flipping.link);
                let what = format!("PHP-FPM gets paths below {} through the link {link}", told(&place.path));
                let finding = Finding::at(&place.at, what, PIN).also("what runs PHP", &handler.at);
                Some(flipping.weighed(finding))
            }
        });
        found.collect()
    })
}
