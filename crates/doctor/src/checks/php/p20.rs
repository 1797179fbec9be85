//! P20: PHP is built for threads, and its opcache is about to restart, or has done so.

use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;
use crate::facts::php::Php;
use crate::facts::php::inside::megabytes;

/// The check.
pub const CHECK: Check = Check {
    id: "P20",
    severity: Severity::Warning,
    title: "PHP with threads restarts its cache under running requests",
    visitor: "Requests crash when opcache restarts.",
    page: include_str!("../../../../../docs/doctor/P20.md"),
    look,
};

fn look(facts: &Facts) -> Verdict {
    let found = facts.phps().filter_map(|php| {
        let (inside, opcache) = (php.inside()?, php.opcache()?);
        let restarts = opcache.oom_restarts + opcache.hash_restarts + opcache.manual_restarts;
        let near = opcache.full || restarts > 0 || opcache.free * 4 < opcache.total();
        if !inside.zts || !near {
            return None;
        }
        let why = format!(
            "{} is built for threads; its cache has restarted {restarts} times and has {} of {} free: a restart frees memory that other threads still read",
            php.name,
            megabytes(opcache.free),
            megabytes(opcache.total())
        );
        let to = (2 * opcache.total()).div_ceil(64 << 20) * 64;
        Some(php.ini("opcache.memory_consumption").wrong(&why, &to.to_string()))
    });
    found.collect::<Verdict>().or_blind(facts.phps().filter_map(Php::blind))
}
