//! D07: code or configuration of a release names the link by its absolute path.

use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;
use crate::finding::{Finding, told};

/// The check.
pub const CHECK: Check = Check {
    id: "D07",
    severity: Severity::Warning,
    title: "code names the link by its path",
    visitor: "A page of one release includes files of another.",
    page: include_str!("../../../../../docs/doctor/D07.md"),
    look,
};

/// So many places are told one by one.
const TOLD_MAX: usize = 20;

fn look(facts: &Facts) -> Verdict {
    let trees = facts.apps.iter().filter_map(|app| app.live.as_ref().map(|tree| (app, tree)));
    let found = trees.flat_map(|(app, tree)| {
        // What deploys may name the link: that is its trade.
        let code = tree.names_link.iter().filter(|at| !facts.orders.iter().any(|order| order.deploys() && order.at.file == at.file));
        code.take(TOLD_MAX).map(move |at| {
            let cached = ["bootstrap/cache", "var/cache"].iter().any(|dir| at.file.starts_with(tree.root.join(dir)));
            let what = format!(
                "{} is named here{}: this file is followed anew, or remembered, by itself, whichever release the page is of",
                told(&app.current.path),
                if cached { ", in a cache that the release was made with" } else { "" }
            );
            let fix = if cached {
                "make the cache in the release's final path (hooks.after_stage), not through the link"
            } else {
                "a path relative to the file: __DIR__, base_path(), %kernel.project_dir%"
            };
            Finding::at(at, what, fix).likely()
        })
    });
    let blind = facts.apps.iter().filter_map(|app| app.live.as_ref()).flat_map(|tree| tree.blind.clone());
    found.collect::<Verdict>().or_blind(blind)
}
