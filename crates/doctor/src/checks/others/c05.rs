//! C05: lighttpd remembers what it saw of files, and a flip does not tell it.

use super::lighttpd;
use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;
use crate::facts::lighttpd::Lighttpd;
use crate::finding::{Edit, Finding, Fix, told};

/// The check.
pub const CHECK: Check = Check {
    id: "C05",
    severity: Severity::Warning,
    title: "lighttpd remembers files through the link",
    visitor: "After a flip, files of the old release are answered for a second or many.",
    page: include_str!("../../../../../docs/doctor/C05.md"),
    look,
};

fn look(facts: &Facts) -> Verdict {
    lighttpd(facts, |lighttpd| judged(lighttpd).into_iter().collect())
}

fn judged(lighttpd: &Lighttpd) -> Option<Finding> {
    let flipping = lighttpd.roots.iter().find_map(|root| root.place.flipping())?;
    let set = lighttpd.all("server.stat-cache-engine").next_back();
    let (engine, late) = match set.and_then(|set| set.value.text()) {
        Some("disable") => return None,
        Some(engine @ ("inotify" | "fam" | "kqueue")) => (engine, "until it looks again, 15 s and more"),
        Some(_) | None => ("simple", "for up to 2 s"),
    };
    let link = told(&flipping.link);
    let what = format!(
        "server.stat-cache-engine is {engine}: files through the link {link} stay as they were {late}"
    );
    let fix = Fix::from("server.stat-cache-engine = \"disable\"");
    let finding = match set {
        Some(set) => {
            let off = Edit::Replace { at: set.at.clone(), with: "disable".into() };
            // Only where the value is written out: the place is what stands between its quotes.
            let fix = if set.at.meant() == engine { fix.edit(off) } else { fix };
            Finding::at(&set.at, what, fix).also("the root", &flipping.place.at)
        }
        None => Finding::at(&flipping.place.at, what, fix),
    };
    Some(flipping.weighed(finding))
}
