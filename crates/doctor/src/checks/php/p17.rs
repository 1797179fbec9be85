//! P17: pools of one master have roots of their own, and opcache.validate_root is off.

use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;
use std::collections::BTreeSet;

/// The check.
pub const CHECK: Check = Check {
    id: "P17",
    severity: Severity::Error,
    title: "pools with roots of their own share one cache by path",
    visitor: "A visitor of one site gets the code of another.",
    page: include_str!("../../../../../docs/doctor/P17.md"),
    look,
};

fn look(facts: &Facts) -> Verdict {
    let found = facts.fpm.iter().filter_map(|master| {
        let roots: BTreeSet<_> = master.pools.iter().map(|pool| pool.chroot()).collect();
        let caged = master.pools.iter().find(|pool| pool.chroot().is_some()).filter(|_| roots.len() > 1)?;
        if !caged.php.keeps_code() {
            return None;
        }
        let validates = caged.php.ini("opcache.validate_root");
        let line = caged.line("chroot").filter(|_| !validates.on())?;
        let why = "the same path means another file in each of these roots, and the cache takes them for one";
        Some(validates.wrong(why, "1").also("this pool has a root of its own", &line.at))
    });
    found.collect()
}
