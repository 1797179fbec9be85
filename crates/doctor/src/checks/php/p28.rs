//! P28: a worker has used up its realpath cache.

use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;
use crate::facts::php::Php;

/// The check.
pub const CHECK: Check = Check {
    id: "P28",
    severity: Severity::Warning,
    title: "the realpath cache is full",
    visitor: "Each file that PHP opens costs system calls for every directory above it.",
    page: include_str!("../../../../../docs/doctor/P28.md"),
    look,
};

fn look(facts: &Facts) -> Verdict {
    let found = facts.pools().filter_map(|(_, pool)| {
        let used = pool.php.inside()?.realpath.size;
        let size = pool.php.ini("realpath_cache_size");
        let all = size.number().and_then(|bytes| u64::try_from(bytes).ok()).filter(|bytes| *bytes > 0)?;
        if used * 10 < all * 9 || !pool.php.ini("open_basedir").value.is_empty() {
            return None;
        }
        let why =
            format!("a worker of {} has used {used} bytes of it, and remembers no more paths", pool.php.name);
        Some(size.wrong(&why, &format!("{}M", (2 * all).div_ceil(1 << 20))))
    });
    found.collect::<Verdict>().or_blind(facts.phps().filter_map(Php::blind))
}
