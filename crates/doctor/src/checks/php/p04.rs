//! P04: opcache.validate_timestamps is off, while a deploy writes into a directory that PHP runs.

use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;
use crate::facts::orders::writes_into;
use crate::finding::{Finding, told};

/// The check.
pub const CHECK: Check = Check {
    id: "P04",
    severity: Severity::Error,
    title: "code is changed in place, and opcache never looks at files",
    visitor: "Visitors get the old code, or old and new files together, until PHP is restarted.",
    page: include_str!("../../../../../docs/doctor/P04.md"),
    look,
};

fn look(facts: &Facts) -> Verdict {
    let blind_caches = facts.phps().filter(|php| php.keeps_code());
    let Some(off) =
        blind_caches.map(|php| php.ini("opcache.validate_timestamps")).find(|setting| !setting.on())
    else {
        return Verdict::clean();
    };
    let found = facts.orders.iter().filter(|order| order.deploys()).filter_map(|order| {
        let app = facts.apps.iter().find(|app| writes_into(order, &app.current.path))?;
        let what = format!(
            "this changes files below {} where they are run, and with {} opcache goes on with what it has compiled",
            told(&app.current.path),
            off.told()
        );
        let fix = "deploy into a new directory below releases/ and flip to it: cutover deploy";
        let finding = Finding::at(&order.at, what, fix);
        Some(match off.at() {
            Some(at) => finding.also("opcache is told here never to look", at),
            None => finding,
        })
    });
    found.collect()
}
