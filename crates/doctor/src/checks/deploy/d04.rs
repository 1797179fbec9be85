//! D04: a long-lived process is started through the link, and no hook starts it anew.

use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;
use crate::finding::{Finding, told};

/// The check.
pub const CHECK: Check = Check {
    id: "D04",
    severity: Severity::Warning,
    title: "a worker that never ends stays with its release",
    visitor: "Jobs are done by old code, and fail when that is deleted.",
    page: include_str!("../../../../../docs/doctor/D04.md"),
    look,
};

const RESTARTS: [&str; 9] = [
    "queue:restart",
    "horizon:terminate",
    "octane:reload",
    "messenger:stop-workers",
    "supervisorctl",
    "systemctl restart",
    "systemctl try-restart",
    "systemctl reload-or-restart",
    "systemctl kill",
];

fn look(facts: &Facts) -> Verdict {
    if facts.orders.iter().any(|order| order.deploys() && order.says(&RESTARTS)) {
        return Verdict::clean();
    }
    let found = facts.orders.iter().filter(|order| order.lives && !order.is_held()).filter_map(|order| {
        let app = facts.apps.iter().find(|app| order.names(&app.current.path))?;
        let what = format!(
            "{} leads through {}, and what is started there goes on with the release that was live then: nothing was found that starts it anew after a flip",
            order.key,
            told(&app.current.path)
        );
        let command = order.from_within(&app.current.path).filter(|_| !is_directory(&order.key));
        let command = command.unwrap_or_else(|| "COMMAND".into());
        let fix = format!(
            "cutover -C {} exec --follow -- {command}: it holds the release, and after each flip has the worker finish and starts it anew; or a hook after_flip that restarts it (php artisan queue:restart, supervisorctl restart NAME, systemctl try-restart NAME)",
            told(&app.root)
        );
        Some(Finding::at(&order.at, what, fix))
    });
    found.collect()
}

/// Whether the order is only where the command begins.
fn is_directory(key: &str) -> bool {
    matches!(key, "directory" | "WorkingDirectory")
}
