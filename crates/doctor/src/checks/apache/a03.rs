//! A03: `UseReadlink On` does not see a document root that is the link itself.

use super::{each, linked, realdoc};
use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;
use crate::facts::apache::Apache;
use crate::finding::{Edit, Finding, Fix};

/// The check.
pub const CHECK: Check = Check {
    id: "A03",
    severity: Severity::Error,
    title: "UseReadlink does not see the link",
    visitor: "Nothing is pinned, though mod_realdoc is there: a request beside a flip may get parts of two releases.",
    page: include_str!("../../../../../docs/doctor/A03.md"),
    look,
};

fn look(facts: &Facts) -> Verdict {
    each(facts, judged)
}

fn judged(apache: &Apache) -> Vec<Finding> {
    if realdoc(apache).is_none() {
        return Vec::new();
    }
    let found = linked(apache).filter_map(|(site, flipping)| {
        let set = apache.setting(site, "usereadlink")?;
        // A path is On too: it says where links need not be looked for.
        let on = set.says("on") || set.word(0).starts_with('/');
        // With a slash behind it the module would see it, but Apache takes that off.
        let is_link = flipping.place.path.components().eq(flipping.link.components());
        if !on || !is_link || !apache.pins(site) {
            return None;
        }
        let word = &set.words.first()?.at;
        let what =
            format!("UseReadlink looks at directories above {} only, and that is the link", told(&flipping));
        let fix = Fix::from("UseReadlink Off");
        let off = Edit::Replace { at: word.clone(), with: "Off".into() };
        let fix = if word == &set.at { fix } else { fix.edit(off) };
        Some(flipping.weighed(Finding::at(word, what, fix).also("the document root", &flipping.place.at)))
    });
    found.collect()
}

fn told(flipping: &crate::facts::place::Flipping<'_>) -> String {
    flipping.place.path.display().to_string()
}
