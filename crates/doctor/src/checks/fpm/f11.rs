//! F11: a running pool has other values than its files.

use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;
use crate::facts::php::Php;
use crate::facts::php::setting::keys;
use crate::finding::Finding;

/// The check.
pub const CHECK: Check = Check {
    id: "F11",
    severity: Severity::Info,
    title: "PHP runs with other values than its files say",
    visitor: "None now; but the next restart changes how the site behaves.",
    page: include_str!("../../../../../docs/doctor/F11.md"),
    look,
};

fn look(facts: &Facts) -> Verdict {
    let settings = facts.phps().flat_map(|php| keys().map(|key| php.ini(key)));
    let found = settings.filter_map(|setting| {
        let (written, at) = setting.written.clone()?;
        let what = format!("{}, and this says {written}: it was changed since PHP-FPM was started, or a web server sends another value (PHP_VALUE)", setting.told());
        Some(Finding::at(&at, what, "reload PHP-FPM at a quiet time, or put the line back as it runs"))
    });
    found.collect::<Verdict>().or_blind(facts.phps().filter_map(Php::blind))
}
