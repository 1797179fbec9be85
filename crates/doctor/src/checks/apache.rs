//! A: checks of Apache.

mod a01;
mod a02;
mod a03;
mod a04;
mod a05;
mod a06;
mod a07;
mod a08;
mod a09;
mod a10;
mod a11;
mod a12;
mod a13;
mod a14;
mod a15;
mod a16;

use crate::check::{Check, Verdict};
use crate::facts::Facts;
use crate::facts::apache::handler::{Runs, runs};
use crate::facts::apache::site::{By, Site};
use crate::facts::apache::{Apache, pinning::Fork};
use crate::facts::place::{Flipping, Place};
use crate::finding::Finding;
use crate::source::Span;

/// All of them, by id; one a line, so that two who add one do not meet.
#[rustfmt::skip]
pub const ALL: &[Check] = &[
    a01::CHECK,
    a02::CHECK,
    a03::CHECK,
    a04::CHECK,
    a05::CHECK,
    a06::CHECK,
    a07::CHECK,
    a08::CHECK,
    a09::CHECK,
    a10::CHECK,
    a11::CHECK,
    a12::CHECK,
    a13::CHECK,
    a14::CHECK,
    a15::CHECK,
    a16::CHECK,
];

/// What to do where nothing pins.
const PIN: &str =
    "load mod_cutover, which pins each request to one release, or put cutover serve in its place";

/// Judges each Apache; a line that many sites share is found once.
fn each(facts: &Facts, judge: impl Fn(&Apache) -> Vec<Finding>) -> Verdict {
    let mut found: Vec<Finding> = Vec::new();
    for finding in facts.apache.iter().flat_map(judge) {
        if !found.contains(&finding) {
            found.push(finding);
        }
    }
    found
        .into_iter()
        .collect::<Verdict>()
        .or_blind(facts.apache.iter().flat_map(|apache| apache.blind.clone()))
}

/// The sites whose document root leads through a link that a deploy may flip.
fn linked(apache: &Apache) -> impl Iterator<Item = (&Site, Flipping<'_>)> {
    apache.served().filter_map(|site| Some((site, site.docroot.as_ref()?.flipping()?)))
}

/// Those of them that mod_realdoc acts on, and which mod_realdoc it is.
fn realdoc(apache: &Apache) -> Option<(Fork, &Span)> {
    let pinning = apache.pinning.as_ref()?;
    Some((pinning.realdoc()?, &pinning.module.at))
}

/// The places from which a site serves PHP through a link that a deploy may flip, though nothing pins; and what runs it.
fn unpinned<'a>(apache: &'a Apache) -> impl Iterator<Item = (&'a Place, Flipping<'a>, Runs<'a>)> {
    let sites = apache.served().filter(|site| !apache.pins(site));
    sites.flat_map(|site| {
        let aliases = apache.mapped(site).filter(|mapped| matches!(mapped.by, By::Alias | By::Pattern));
        let places = site.docroot.iter().chain(aliases.map(|mapped| &mapped.place));
        places.filter_map(|place| Some((place, place.flipping()?, runs(apache, site, place)?)))
    })
}
