//! F02: nginx sends PHP_VALUE to a pool whose pm.max_requests is 0.

use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;
use crate::facts::linked;

/// The check.
pub const CHECK: Check = Check {
    id: "F02",
    severity: Severity::Warning,
    title: "workers live for ever and are given values on each request",
    visitor: "Memory grows until the machine swaps; a value of one site stays for the next.",
    page: include_str!("../../../../../docs/doctor/F02.md"),
    look,
};

fn look(facts: &Facts) -> Verdict {
    let found = facts.pools().filter(|(_, pool)| pool.number("pm.max_requests").unwrap_or(0) == 0).filter_map(|(_, pool)| {
        let listen = pool.listen.as_ref()?;
        let param = facts.nginx.iter().find_map(|nginx| {
            let levels = nginx.fastcgi().filter(|level| nginx.passes(level.id).iter().any(|pass| linked::is(pass, listen)));
            levels.flat_map(|level| ["PHP_VALUE", "PHP_ADMIN_VALUE"].map(|name| nginx.param(level.id, name))).flatten().next()
        })?;
        let what = format!(
            "{} is given {} with its requests, and its workers never end (pm.max_requests is 0): each such value stays in the worker and leaks memory",
            pool.php.name,
            param.arg(0)
        );
        Some(pool.wrong("pm.max_requests", what, "5000").also("it is given here", param.at()))
    });
    found.collect()
}
