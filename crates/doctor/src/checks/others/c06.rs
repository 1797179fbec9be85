//! C06: lighttpd may not follow the link.

use super::lighttpd;
use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;
use crate::facts::lighttpd::parse::Setting;
use crate::facts::lighttpd::together;
use crate::finding::{Finding, told};

/// The check.
pub const CHECK: Check = Check {
    id: "C06",
    severity: Severity::Error,
    title: "lighttpd may not follow the link",
    visitor: "All requests are answered with 403.",
    page: include_str!("../../../../../docs/doctor/C06.md"),
    look,
};

fn look(facts: &Facts) -> Verdict {
    lighttpd(facts, |lighttpd| {
        let off: Vec<&Setting> =
            lighttpd.all("server.follow-symlink").filter(|set| set.value.text() == Some("disable")).collect();
        let found = lighttpd.roots.iter().filter_map(|root| {
            let flipping = root.place.flipping()?;
            let set = off.iter().find(|set| together(&set.when, &root.when))?;
            let what = format!("server.follow-symlink is disable, and {} is a link", told(&flipping.link));
            let fix = "take the line out; or set server.follow-symlink = \"enable\" for this host";
            Some(flipping.weighed(Finding::at(&set.at, what, fix).also("the root", &root.place.at)))
        });
        found.collect()
    })
}
