//! P11: a pool sets a value of the memory that all pools of a master share: it has no effect.

use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;
use crate::facts::php::setting::is_shared;
use crate::finding::{Edit, Finding, Fix};

/// The check.
pub const CHECK: Check = Check {
    id: "P11",
    severity: Severity::Warning,
    title: "a pool sets what all pools share",
    visitor: "The cache stays as small as it was, and fills up.",
    page: include_str!("../../../../../docs/doctor/P11.md"),
    look,
};

fn look(facts: &Facts) -> Verdict {
    let own = facts.pools().flat_map(|(_, pool)| pool.php.own.iter().map(move |own| (pool, own)));
    let found = own.filter(|(_, own)| is_shared(&own.key)).map(|(pool, own)| {
        let what = format!(
            "{} in {} has no effect: that memory is one for all pools of a master, and made before there is any pool",
            own.key, pool.php.name
        );
        let home = pool.php.files.home(&own.key);
        let text = format!("{} = {} in php.ini", own.key, own.line.value);
        let fix = Fix::from(text).edit(Edit::Delete { at: own.line.at.clone() });
        let fix = match home {
            Some(home) => fix.edit(Edit::Below { at: home, lines: format!("{} = {}", own.key, own.line.value) }),
            None => fix,
        };
        Finding::at(&own.line.at, what, fix)
    });
    found.collect()
}
