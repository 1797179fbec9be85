//! P23: opcache.max_wasted_percentage is so high that a full cache does not restart, or of no effect.

use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;

/// The check.
pub const CHECK: Check = Check {
    id: "P23",
    severity: Severity::Warning,
    title: "a full opcache stays full for long",
    visitor: "Once the cache is full, requests are slow until half of it is waste.",
    page: include_str!("../../../../../docs/doctor/P23.md"),
    look,
};

fn look(facts: &Facts) -> Verdict {
    let found = facts.phps().filter(|php| php.keeps_code()).filter_map(|php| {
        let wasted = php.ini("opcache.max_wasted_percentage");
        let why = match wasted.number()? {
            1..=25 => return None,
            26..=50 => "a full cache is restarted only when so much of it is waste; until then what does not fit is compiled for each request",
            _ => "PHP takes 1 to 50 only, and goes on with 5",
        };
        Some(wasted.wrong(why, "5"))
    });
    found.collect()
}
