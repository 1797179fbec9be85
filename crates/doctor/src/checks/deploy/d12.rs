//! D12: a hook before the flip drops tables or columns, or makes the schema anew.

use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;
use crate::facts::orders::By;
use crate::finding::Finding;

/// The check.
pub const CHECK: Check = Check {
    id: "D12",
    severity: Severity::Error,
    title: "a hook removes what the live release still needs",
    visitor: "The old release fails from this hook until the flip, and after a rollback.",
    page: include_str!("../../../../../docs/doctor/D12.md"),
    look,
};

/// What takes something away, in commands; as lower case.
const DROPS: [&str; 12] = [
    "drop column",
    "drop table",
    "drop database",
    "drop schema",
    "truncate table",
    "rename column",
    "migrate:fresh",
    "migrate:refresh",
    "migrate:reset",
    "db:wipe",
    "doctrine:schema:drop",
    "doctrine:schema:update --force --complete",
];

const BEFORE: [&str; 8] = [
    "before_build",
    "after_build",
    "before_stage",
    "after_stage",
    "before_warm",
    "after_warm",
    "before_flip",
    "drain",
];

fn look(facts: &Facts) -> Verdict {
    let hooks =
        facts.orders.iter().filter(|order| order.by == By::Hook && BEFORE.contains(&order.key.as_str()));
    let found = hooks.filter_map(|order| {
        let text = order.text.to_lowercase();
        let drops = DROPS.iter().find(|drops| text.contains(**drops))?;
        let what = format!(
            "`{drops}` in {} runs while the old release is live, and stays done when the deploy is undone",
            order.key
        );
        let fix = "two deploys: one whose code does without it, and one that takes it away (after_flip)";
        Some(Finding::at(&order.at, what, fix))
    });
    found.collect()
}
