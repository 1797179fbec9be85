//! F12: pm.max_children times the memory of a worker is more than the machine has.

use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;
use crate::facts::fpm::Pool;
use crate::facts::php::inside::megabytes;

/// The check.
pub const CHECK: Check = Check {
    id: "F12",
    severity: Severity::Warning,
    title: "more workers may run than the machine has memory for",
    visitor: "Under load the machine swaps, or the kernel kills PHP.",
    page: include_str!("../../../../../docs/doctor/F12.md"),
    look,
};

fn look(facts: &Facts) -> Verdict {
    let Some((total, _)) = facts.memory else { return Verdict::clean() };
    let pools: Vec<_> = facts.pools().filter_map(|(_, pool)| Some((pool, wanted(pool)?))).collect();
    let all: u64 = pools.iter().map(|(_, wanted)| wanted).sum();
    let Some((pool, wanted)) = pools.iter().max_by_key(|(_, wanted)| *wanted).filter(|_| all > total) else {
        return Verdict::clean();
    };
    let workers = pool.number("pm.max_children").unwrap_or(0);
    let each = wanted / workers.max(1).cast_unsigned();
    let fits = (total / 10 * 7 / each.max(1)).max(1);
    let what = format!(
        "{workers} workers of {} at {} each would take {}; the machine has {}",
        pool.php.name,
        megabytes(each),
        megabytes(*wanted),
        megabytes(total)
    );
    std::iter::once(pool.wrong("pm.max_children", what, &fits.to_string())).collect()
}

/// What a pool takes with all its workers, by those that are seen.
fn wanted(pool: &Pool) -> Option<u64> {
    let most = pool.memory.iter().map(|memory| memory.pss.unwrap_or(memory.rss)).max()?;
    let workers = u64::try_from(pool.number("pm.max_children")?).ok()?;
    most.checked_mul(workers)
}
