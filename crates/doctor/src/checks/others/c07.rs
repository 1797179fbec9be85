//! C07: a root of Caddy or lighttpd names one release.

use super::once;
use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;
use crate::facts::place::Place;
use crate::finding::{Finding, Fix, told};

/// The check.
pub const CHECK: Check = Check {
    id: "C07",
    severity: Severity::Warning,
    title: "a root names one release",
    visitor: "A flip changes nothing: visitors stay on this release until the server is configured anew.",
    page: include_str!("../../../../../docs/doctor/C07.md"),
    look,
};

fn look(facts: &Facts) -> Verdict {
    let caddy = facts.caddy.iter().flat_map(|caddy| &caddy.handlers).flat_map(|handler| &handler.roots);
    let lighttpd = facts.lighttpd.iter().flat_map(|lighttpd| &lighttpd.roots).map(|root| &root.place);
    let blind = facts.caddy.iter().flat_map(|caddy| caddy.blind.clone());
    let blind = blind.chain(facts.lighttpd.iter().flat_map(|lighttpd| lighttpd.blind.clone()));
    once(caddy.chain(lighttpd).filter_map(judged)).or_blind(blind)
}

fn judged(root: &Place) -> Option<Finding> {
    let (app, release) = root.release()?;
    let what = format!("the root names the release {release}, not the link that a deploy flips");
    let link = told(app.join("current"));
    Some(Finding::at(&root.at, what, Fix::from(format!("name the link: {link} in place of the release"))))
}
