//! A08: mod_realdoc pins the document root, and nothing else.

use super::{each, realdoc};
use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;
use crate::facts::apache::Apache;
use crate::facts::apache::site::{By, Mapped};
use crate::finding::{Finding, Fix, told};

/// The check.
pub const CHECK: Check = Check {
    id: "A08",
    severity: Severity::Warning,
    title: "an alias that mod_realdoc does not pin",
    visitor: "Beside a flip, what is below this path comes from another release than the page around it.",
    page: include_str!("../../../../../docs/doctor/A08.md"),
    look,
};

fn look(facts: &Facts) -> Verdict {
    each(facts, |apache: &Apache| {
        if realdoc(apache).is_none() {
            return Vec::new();
        }
        let all = apache.sites().flat_map(|site| &site.mapped);
        all.filter(|mapped| matches!(mapped.by, By::Alias | By::Pattern)).filter_map(judged).collect()
    })
}

fn judged(mapped: &Mapped) -> Option<Finding> {
    let flipping = mapped.place.flipping()?;
    let what = format!(
        "{} leads through the link {}, and mod_realdoc leaves that alone",
        mapped.directive,
        told(&flipping.link)
    );
    let fix = Fix::from("load mod_cutover in its place, which pins every path through the link");
    Some(flipping.weighed(Finding::at(&mapped.at, what, fix)))
}
