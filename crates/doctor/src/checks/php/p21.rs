//! P21: code compiles files into opcache and does not ask whether they are there then.

use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;
use crate::finding::Finding;

/// The check.
pub const CHECK: Check = Check {
    id: "P21",
    severity: Severity::Warning,
    title: "a warm-up believes what opcache says",
    visitor: "Visitors compile what the deploy thought it had warmed.",
    page: include_str!("../../../../../docs/doctor/P21.md"),
    look,
};

fn look(facts: &Facts) -> Verdict {
    let preloads: Vec<String> = facts.phps().map(|php| php.ini("opcache.preload").value).collect();
    let trees = facts.apps.iter().filter_map(|app| app.live.as_ref()).filter(|tree| !tree.asks_cached);
    let code = trees.flat_map(|tree| &tree.compiles).filter(|at| {
        // A preload script has to call it, and is told of failures by PHP itself.
        let name = at.file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        !name.contains("preload") && !preloads.iter().any(|preload| preload.ends_with(&name))
    });
    let orders = facts.orders.iter().filter(|order| order.says(&["opcache:compile"])).map(|order| &order.at);
    code.chain(orders)
        .map(|at| {
            let what = "opcache says that a file is compiled also where it did not keep it: one younger than two seconds, one with the mtime 0, or none at all when the cache is full";
            Finding::at(at, what, "ask opcache_is_script_cached() for each file afterwards; cutover deploy does, and says what is not cached and why").likely()
        })
        .collect()
}
