//! P07: opcache is full, or has no room left for the release that is live.

use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;
use crate::facts::php::Php;
use crate::facts::php::inside::megabytes;

/// The check.
pub const CHECK: Check = Check {
    id: "P07",
    severity: Severity::Error,
    title: "opcache is full",
    visitor: "Each request compiles files again that do not fit: slow, and slower with each deploy.",
    page: include_str!("../../../../../docs/doctor/P07.md"),
    look,
};

fn look(facts: &Facts) -> Verdict {
    let found = facts.fpm.iter().filter_map(|master| {
        let (php, opcache) = master.pools.iter().find_map(|pool| Some((&pool.php, pool.php.opcache()?)))?;
        let memory = php.ini("opcache.memory_consumption");
        let total = opcache.total();
        // Room for twice what is there now, in steps that people would choose.
        let to = (2 * total).div_ceil(64 << 20) * 64;
        let figures = format!(
            "{} of {} are used, {} wasted, {} free",
            megabytes(opcache.used),
            megabytes(total),
            megabytes(opcache.wasted),
            megabytes(opcache.free)
        );
        let (releases, _, bytes) = opcache.releases();
        let held = if releases > 1 {
            format!("; {releases} releases hold {}", megabytes(bytes))
        } else {
            String::new()
        };
        if opcache.full {
            let why = format!("the cache of {} is full and takes nothing new: {figures}{held}", php.name);
            return Some(memory.wrong(&why, &to.to_string()));
        }
        let (home, _, needs) = opcache.largest().filter(|(.., bytes)| opcache.free < *bytes)?;
        let why = format!(
            "the next release does not fit beside the live one: {figures}{held}, and {home} alone takes {}",
            megabytes(needs)
        );
        Some(memory.wrong(&why, &to.to_string()))
    });
    found.collect::<Verdict>().or_blind(facts.phps().filter_map(Php::blind))
}
