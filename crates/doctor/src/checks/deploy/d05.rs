//! D05: a cron job runs code through the link, and nothing holds the release meanwhile.

use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;
use crate::facts::orders::By;
use crate::finding::{Finding, told};

/// The check.
pub const CHECK: Check = Check {
    id: "D05",
    severity: Severity::Error,
    title: "a cron job holds no release",
    visitor: "A job that takes long fails in its middle, when its release is deleted.",
    page: include_str!("../../../../../docs/doctor/D05.md"),
    look,
};

fn look(facts: &Facts) -> Verdict {
    let jobs = facts.orders.iter().filter(|order| order.by == By::Cron && !order.is_held());
    let found = jobs.filter_map(|order| {
        let app = facts.apps.iter().find(|app| order.names(&app.current.path))?;
        let what = format!(
            "this runs code through {}: a job that outlives the flip, and the time for which old releases are kept, loses its files",
            told(&app.current.path)
        );
        let command = order.from_within(&app.current.path).unwrap_or_else(|| "COMMAND".into());
        let fix = format!("{} cutover -C {} exec -- {command}", order.key, told(&app.root));
        Some(Finding::at(&order.at, what, fix).likely())
    });
    found.collect()
}
