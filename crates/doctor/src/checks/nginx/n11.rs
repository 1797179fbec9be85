//! N11: `volatile` takes from a map what makes it a pin: that its result is kept.

use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;
use crate::facts::nginx::lead::map_values;
use crate::facts::nginx::{Nginx, value};
use crate::finding::{Edit, Finding, Fix};

/// The check.
pub const CHECK: Check = Check {
    id: "N11",
    severity: Severity::Warning,
    title: "the map of the pin is volatile",
    visitor: "The link is resolved anew each time the variable is used: a request sees two releases while the link flips.",
    page: include_str!("../../../../../docs/doctor/N11.md"),
    look,
};

fn look(facts: &Facts) -> Verdict {
    facts.nginx.iter().flat_map(judged).collect()
}

fn judged(nginx: &Nginx) -> Vec<Finding> {
    let pins =
        nginx.maps.values().filter(|map| map_values(map).any(|value| value::has(value, "realpath_root")));
    let volatile = pins.filter_map(|map| {
        let word = map.inner().iter().find(|entry| entry.is("volatile") && entry.args.is_empty())?;
        let what = format!("{} is made of $realpath_root anew each time it is used", map.arg(1));
        let mut fix = Fix::from("remove `volatile`");
        if nginx.owned(&word.at().file) && word.at().line == word.end.line {
            let mut at = word.at().clone();
            at.to = word.end.to;
            let edit =
                if word.alone() { Edit::Delete { at } } else { Edit::Replace { at, with: String::new() } };
            fix = fix.edit(edit);
        }
        Some(nginx.as_sure(Finding::at(word.at(), what, fix), true))
    });
    volatile.collect()
}
