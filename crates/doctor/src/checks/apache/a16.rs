//! A16: the document root names one release.

use super::each;
use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;
use crate::facts::apache::Apache;
use crate::facts::place::Place;
use crate::finding::{Finding, Fix, told};

/// The check.
pub const CHECK: Check = Check {
    id: "A16",
    severity: Severity::Warning,
    title: "the document root names one release",
    visitor: "A flip changes nothing: visitors stay on this release until Apache is configured anew.",
    page: include_str!("../../../../../docs/doctor/A16.md"),
    look,
};

fn look(facts: &Facts) -> Verdict {
    each(facts, |apache: &Apache| apache.served().filter_map(|site| judged(site.docroot.as_ref()?)).collect())
}

fn judged(root: &Place) -> Option<Finding> {
    let (app, release) = root.release()?;
    let what = format!("DocumentRoot names the release {release}, not the link that a deploy flips");
    let link = told(app.join("current"));
    Some(Finding::at(&root.at, what, Fix::from(format!("name the link: {link} in place of the release"))))
}
