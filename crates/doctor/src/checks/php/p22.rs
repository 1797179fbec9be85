//! P22: pools of several users share one opcache, and opcache.validate_permission is off.

use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;
use std::collections::BTreeSet;

/// The check.
pub const CHECK: Check = Check {
    id: "P22",
    severity: Severity::Info,
    title: "users of one PHP-FPM can read each other's code from the cache",
    visitor: "None; but a site that was broken into can run another one's code and read its secrets.",
    page: include_str!("../../../../../docs/doctor/P22.md"),
    look,
};

fn look(facts: &Facts) -> Verdict {
    let found = facts.fpm.iter().filter_map(|master| {
        let users: BTreeSet<&str> = master.pools.iter().map(|pool| pool.value("user")).collect();
        let php = &master.pools.first().filter(|_| users.len() > 1)?.php;
        let validates = php.ini("opcache.validate_permission");
        if validates.on() || !php.keeps_code() {
            return None;
        }
        let users: Vec<&str> = users.into_iter().collect();
        let why = format!("the pools of {} share one cache: a script that one of them compiled the others may include, though they may not read the file", users.join(", "));
        Some(validates.wrong(&why, "1"))
    });
    found.collect()
}
