//! P01: realpath_cache_ttl is 0: links once followed are remembered for ever.

use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;

/// The check.
pub const CHECK: Check = Check {
    id: "P01",
    severity: Severity::Error,
    title: "realpath_cache_ttl is 0, which means for ever",
    visitor: "Old code is served until PHP is restarted, by some workers and not by others.",
    page: include_str!("../../../../../docs/doctor/P01.md"),
    look,
};

fn look(facts: &Facts) -> Verdict {
    let remembers = facts.phps().filter(|php| php.ini("realpath_cache_size").number() != Some(0));
    let ttl = remembers.map(|php| php.ini("realpath_cache_ttl")).filter(|ttl| ttl.number() == Some(0));
    ttl.map(|ttl| {
        let why = "a worker never looks again where a link leads; it is realpath_cache_size = 0 that turns the cache off";
        ttl.wrong(why, "120")
    })
    .collect()
}
