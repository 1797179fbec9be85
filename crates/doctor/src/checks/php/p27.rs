//! P27: opcache has restarted because it was full.

use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;
use crate::facts::php::Php;
use crate::sizing::prime;

/// The check.
pub const CHECK: Check = Check {
    id: "P27",
    severity: Severity::Warning,
    title: "opcache has restarted for want of room",
    visitor: "Each time, everybody waits while everything is compiled again, and long requests are killed.",
    page: include_str!("../../../../../docs/doctor/P27.md"),
    look,
};

fn look(facts: &Facts) -> Verdict {
    let found = facts.fpm.iter().filter_map(|master| {
        let (php, opcache) = master.pools.iter().find_map(|pool| Some((&pool.php, pool.php.opcache()?)))?;
        if opcache.hash_restarts > 0 {
            let why = format!("keys ran out {} times since {} began", opcache.hash_restarts, php.name);
            return Some(
                php.ini("opcache.max_accelerated_files")
                    .wrong(&why, &prime(opcache.max_keys + 1).to_string()),
            );
        }
        if opcache.oom_restarts == 0 {
            return None;
        }
        let why = format!("memory ran out {} times since {} began", opcache.oom_restarts, php.name);
        let to = (2 * opcache.total()).div_ceil(64 << 20) * 64;
        Some(php.ini("opcache.memory_consumption").wrong(&why, &to.to_string()))
    });
    found.collect::<Verdict>().or_blind(facts.phps().filter_map(Php::blind))
}
