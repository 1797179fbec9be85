//! P12: a hook, script or part of the application empties opcache.

use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;
use crate::finding::Finding;

/// The check.
pub const CHECK: Check = Check {
    id: "P12",
    severity: Severity::Error,
    title: "a deploy empties opcache",
    visitor: "Long requests are killed; all others are slow until everything is compiled again.",
    page: include_str!("../../../../../docs/doctor/P12.md"),
    look,
};

const EMPTIES: [&str; 7] = [
    "opcache_reset",
    "opcache:reset",
    "opcache:clear",
    "opcache-clear",
    "cachetool:clear:opcache",
    "clear:opcache",
    "opcache.php?reset",
];

fn look(facts: &Facts) -> Verdict {
    let orders = facts.orders.iter().filter(|order| order.says(&EMPTIES)).map(|order| &order.at);
    // A script of the application counts if a deploy names it: as such it may be a button that nobody presses.
    let trees = facts.apps.iter().filter_map(|app| app.live.as_ref());
    let code = trees.flat_map(|tree| &tree.resets).filter(|at| {
        let name = at.file.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| facts.orders.iter().any(|order| order.says(&[name])))
    });
    orders
        .chain(code)
        .map(|at| {
            let what = "this empties the cache under the requests that run: PHP kills those that take longer than opcache.force_restart_timeout, and all others compile everything again";
            let fix = "leave it out: given paths without links PHP needs no reset for a new release; cutover deploy warms it before the flip, and lets go of what it prunes";
            Finding::at(at, what, fix)
        })
        .collect()
}
