//! A08: what pins the document root leaves an alias alone.

use super::each;
use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;
use crate::facts::apache::Apache;
use crate::facts::apache::pinning::{Pinner, Pinning};
use crate::facts::apache::site::{By, Mapped, Site};
use crate::finding::{Finding, Fix, told};

/// The check.
pub const CHECK: Check = Check {
    id: "A08",
    severity: Severity::Warning,
    title: "an alias that is not pinned",
    visitor: "Beside a flip, what is below this path comes from another release than the page around it.",
    page: include_str!("../../../../../docs/doctor/A08.md"),
    look,
};

fn look(facts: &Facts) -> Verdict {
    each(facts, |apache: &Apache| {
        let Some(pinning) = &apache.pinning else { return Vec::new() };
        let pinned = apache.served().filter(|site| apache.pins(site));
        let all = pinned.flat_map(|site| apache.mapped(site).map(move |mapped| (site, mapped)));
        all.filter(|(_, mapped)| matches!(mapped.by, By::Alias | By::Pattern))
            .filter_map(|(site, mapped)| judged(apache, pinning, site, mapped))
            .collect()
    })
}

fn judged(apache: &Apache, pinning: &Pinning, site: &Site, mapped: &Mapped) -> Option<Finding> {
    let flipping = mapped.place.flipping()?;
    if apache.pins_beside(site, &flipping.link) {
        return None;
    }
    let link = told(&flipping.link);
    let (who, fix) = match pinning.by {
        Pinner::Cutover => ("mod_cutover does not know it", Fix::from(format!("CutoverLink {link}"))),
        Pinner::Realdoc(_) => (
            "mod_realdoc leaves that alone",
            Fix::from("load mod_cutover in its place, which pins every path through a link that it knows"),
        ),
    };
    let what = format!("{} leads through the link {link}, and {who}", mapped.directive);
    Some(flipping.weighed(Finding::at(&mapped.at, what, fix)))
}
