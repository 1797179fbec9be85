//! P10: the buffer of interned strings is used to 90 percent.

use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;
use crate::facts::php::Php;
use crate::facts::php::inside::megabytes;

/// The check.
pub const CHECK: Check = Check {
    id: "P10",
    severity: Severity::Warning,
    title: "the buffer of interned strings is full",
    visitor: "Requests take more memory and time than they need to; the cache fills sooner.",
    page: include_str!("../../../../../docs/doctor/P10.md"),
    look,
};

fn look(facts: &Facts) -> Verdict {
    let found = facts.fpm.iter().filter_map(|master| {
        let (php, opcache) = master.pools.iter().find_map(|pool| Some((&pool.php, pool.php.opcache()?)))?;
        let all = opcache.interned + opcache.interned_free;
        if all == 0 || opcache.interned * 10 < all * 9 {
            return None;
        }
        let why = format!("{} of {} are used", megabytes(opcache.interned), megabytes(all));
        let to = (2 * all).div_ceil(8 << 20) * 8;
        Some(php.ini("opcache.interned_strings_buffer").wrong(&why, &to.to_string()))
    });
    found.collect::<Verdict>().or_blind(facts.phps().filter_map(Php::blind))
}
