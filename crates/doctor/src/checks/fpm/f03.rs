//! F03: the pool that runs an app has no status page.

use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;

/// The check.
pub const CHECK: Check = Check {
    id: "F03",
    severity: Severity::Warning,
    title: "nobody can ask who still runs which release",
    visitor: "A release may be deleted while a long request still runs it.",
    page: include_str!("../../../../../docs/doctor/F03.md"),
    look,
};

fn look(facts: &Facts) -> Verdict {
    let pools = facts.apps.iter().flat_map(|app| facts.pools_of(app));
    let found = pools.filter(|(_, pool)| pool.value("pm.status_path").is_empty()).map(|(_, pool)| {
        let what = format!(
            "{} has no status page: which requests still run an old release cannot be seen",
            pool.php.name
        );
        pool.wrong("pm.status_path", what, "/fpm-status")
    });
    found.collect()
}
