//! P24: the JIT's buffer is full; it is never freed.

use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;
use crate::facts::php::Php;
use crate::facts::php::inside::megabytes;

/// The check.
pub const CHECK: Check = Check {
    id: "P24",
    severity: Severity::Warning,
    title: "the JIT has no room left",
    visitor: "Code of new releases runs without the JIT: slower than before the deploy.",
    page: include_str!("../../../../../docs/doctor/P24.md"),
    look,
};

fn look(facts: &Facts) -> Verdict {
    let found = facts.fpm.iter().filter_map(|master| {
        let (php, opcache) = master.pools.iter().find_map(|pool| Some((&pool.php, pool.php.opcache()?)))?;
        if opcache.jit == 0 || opcache.jit_free * 20 >= opcache.jit {
            return None;
        }
        let why = format!(
            "{} of {} are used, and nothing frees them",
            megabytes(opcache.jit - opcache.jit_free),
            megabytes(opcache.jit)
        );
        let to = (2 * opcache.jit).div_ceil(32 << 20) * 32;
        Some(php.ini("opcache.jit_buffer_size").wrong(&why, &format!("{to}M")))
    });
    found.collect::<Verdict>().or_blind(facts.phps().filter_map(Php::blind))
}
