//! A02: mod_realdoc keeps roots by the name that clients send.

use super::{each, realdoc};
use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;
use crate::facts::apache::Apache;
use crate::facts::apache::site::Site;
use crate::finding::{Edit, Finding, Fix};
use crate::source::Span;

/// The check.
pub const CHECK: Check = Check {
    id: "A02",
    severity: Severity::Error,
    title: "mod_realdoc keeps roots by the client's Host",
    visitor: "Anybody can have one site answer with another's files, and fill the server's memory.",
    page: include_str!("../../../../../docs/doctor/A02.md"),
    look,
};

fn look(facts: &Facts) -> Verdict {
    each(facts, |apache| {
        let Some((_, loaded)) = realdoc(apache) else { return Vec::new() };
        let sites = apache.served().filter(|site| apache.pins(site));
        sites.filter_map(|site| judged(apache, site, loaded)).collect()
    })
}

fn judged(apache: &Apache, site: &Site, loaded: &Span) -> Option<Finding> {
    let fix =
        Fix::from("UseCanonicalName On; or load mod_cutover in its place, which goes by the link alone");
    let Some(set) = apache.setting(site, "usecanonicalname") else {
        let what = "mod_realdoc is loaded, and UseCanonicalName is Off, as it is unless set";
        let line = Edit::Below { at: loaded.clone(), lines: "UseCanonicalName On".into() };
        return Some(Finding::at(loaded, what, fix.edit(line)));
    };
    if !set.says("off") {
        return None;
    }
    let word = &set.words.first()?.at;
    let on = Edit::Replace { at: word.clone(), with: "On".into() };
    let fix = if word == &set.at { fix } else { fix.edit(on) };
    Some(
        Finding::at(word, "mod_realdoc is loaded, and UseCanonicalName is Off", fix)
            .also("mod_realdoc", loaded),
    )
}
