//! P13: opcache.force_restart_timeout is less than requests may last.

use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;
use crate::facts::fpm::Pool;

/// The check.
pub const CHECK: Check = Check {
    id: "P13",
    severity: Severity::Warning,
    title: "PHP kills requests sooner than they may last",
    visitor: "When opcache restarts, long requests end as broken connections.",
    page: include_str!("../../../../../docs/doctor/P13.md"),
    look,
};

fn look(facts: &Facts) -> Verdict {
    let found = facts.pools().filter(|(_, pool)| pool.php.keeps_code()).filter_map(|(_, pool)| {
        let patience = pool.php.ini("opcache.force_restart_timeout");
        let seconds = patience.number().and_then(|seconds| u64::try_from(seconds).ok())?;
        let (longest, why) = longest(pool)?;
        (longest > seconds).then(|| {
            let why =
                format!("{why}: a request that still runs so long after opcache began to restart is killed");
            patience.wrong(&why, &longest.to_string())
        })
    });
    found.collect()
}

/// How long requests of a pool last, in seconds: as long as they may, else as long as one was seen to.
fn longest(pool: &Pool) -> Option<(u64, String)> {
    match pool.seconds("request_terminate_timeout") {
        Some(may @ 1..) => Some((may, format!("requests of {} may last {may} seconds", pool.php.name))),
        Some(0) | None => {
            let workers = pool.status().into_iter().flat_map(|status| &status.workers);
            let longest = workers.filter_map(|worker| worker.duration_us()).max()? / 1_000_000;
            Some((longest, format!("{} has a request of {longest} seconds", pool.php.name)))
        }
    }
}
