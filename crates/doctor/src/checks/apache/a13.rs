//! A13: Apache may not follow the link.

use std::path::Path;

use super::{each, linked};
use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;
use crate::facts::apache::Apache;
use crate::facts::apache::directive::Seen;
use crate::facts::apache::section::covers;
use crate::facts::apache::site::Site;
use crate::facts::place::Flipping;
use crate::finding::{Finding, Fix, told};
use crate::source::Span;

/// The check.
pub const CHECK: Check = Check {
    id: "A13",
    severity: Severity::Error,
    title: "Apache may not follow the link",
    visitor: "All requests are answered with 403.",
    page: include_str!("../../../../../docs/doctor/A13.md"),
    look,
};

/// Which links are followed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Follows {
    All,
    OwnersMatch,
    None,
}

fn look(facts: &Facts) -> Verdict {
    each(facts, |apache| {
        let unpinned = linked(apache).filter(|(site, _)| !apache.pins(site));
        unpinned.filter_map(|(site, flipping)| judged(apache, site, &flipping)).collect()
    })
}

fn judged(apache: &Apache, site: &Site, flipping: &Flipping<'_>) -> Option<Finding> {
    let (follows, at) = follows(apache, site, flipping.link.parent()?)?;
    let link = told(&flipping.link);
    let what = match (follows, flipping.place.owners) {
        (Follows::None, _) => format!("no link may be followed here, and {link} is one"),
        (Follows::OwnersMatch, Some((of_link, of_release))) if of_link != of_release => {
            format!(
                "{link} is followed only if its owner (uid {of_link}) owns the release too (uid {of_release})"
            )
        }
        (Follows::All | Follows::OwnersMatch, _) => return None,
    };
    let above = told(flipping.link.parent()?);
    let fix = Fix::from(format!("for <Directory {above}>: Options +FollowSymLinks"));
    Some(flipping.weighed(Finding::at(&at, what, fix).also("the document root", &flipping.place.at)))
}

/// Which links in a directory are followed, and the line that says so last; `None`: all, as it is unless set.
fn follows(apache: &Apache, site: &Site, dir: &Path) -> Option<(Follows, Span)> {
    let about =
        |seen: &Seen<'_>| seen.dir().is_none_or(|section| !section.is_regex() && covers(section, dir));
    let mut all: Vec<Seen<'_>> = apache.seen(site, "options").into_iter().filter(about).collect();
    // Apache goes down the path: what is said of a directory below comes later.
    all.sort_by_key(|seen| seen.dir().map(|section| Path::new(section.dir()).components().count()));
    let mut says = None;
    let mut follows = Follows::All;
    for seen in all {
        let before = follows;
        for (number, word) in seen.directive.words.iter().enumerate() {
            let (sign, name) = match word.text.split_at_checked(1) {
                Some((sign @ ("+" | "-"), name)) => (Some(sign), name),
                Some(_) | None => (None, word.text.as_str()),
            };
            // A list without signs starts anew.
            if sign.is_none() && number == 0 {
                follows = Follows::None;
            }
            follows = match (name.to_lowercase().as_str(), sign == Some("-")) {
                ("all" | "followsymlinks", false) => Follows::All,
                ("all" | "followsymlinks", true) if follows == Follows::All => Follows::None,
                ("symlinksifownermatch", false) if follows != Follows::All => Follows::OwnersMatch,
                ("all" | "symlinksifownermatch", true) if follows == Follows::OwnersMatch => Follows::None,
                _ => follows,
            };
        }
        if follows != before {
            says = Some(seen.directive.at.clone());
        }
    }
    Some((follows, says?))
}
