//! C: checks of Caddy, lighttpd and others.

mod c01;
mod c02;
mod c03;
mod c04;
mod c05;
mod c06;
mod c07;
mod c08;
mod c09;

use crate::check::{Check, Verdict};
use crate::facts::Facts;
use crate::facts::caddy::{Does, Handler};
use crate::facts::lighttpd::Lighttpd;
use crate::facts::place::Flipping;
use crate::finding::Finding;

/// All of them, by id; one a line, so that two who add one do not meet.
#[rustfmt::skip]
pub const ALL: &[Check] = &[
    c01::CHECK,
    c02::CHECK,
    c03::CHECK,
    c04::CHECK,
    c05::CHECK,
    c06::CHECK,
    c07::CHECK,
    c08::CHECK,
    c09::CHECK,
];

/// Judges each of Caddy's handlers whose root leads through a link that a deploy may flip; the same is found once.
fn caddy(facts: &Facts, judge: impl Fn(&Handler, &Flipping<'_>) -> Option<Finding>) -> Verdict {
    let handlers = facts.caddy.iter().flat_map(|caddy| &caddy.handlers);
    let linked = handlers
        .flat_map(|handler| handler.roots.iter().filter_map(move |root| Some((handler, root.flipping()?))));
    let found = linked.filter_map(|(handler, flipping)| Some(flipping.weighed(judge(handler, &flipping)?)));
    once(found).or_blind(facts.caddy.iter().flat_map(|caddy| caddy.blind.clone()))
}

/// Judges each lighttpd.
fn lighttpd(facts: &Facts, judge: impl Fn(&Lighttpd) -> Vec<Finding>) -> Verdict {
    once(facts.lighttpd.iter().flat_map(judge))
        .or_blind(facts.lighttpd.iter().flat_map(|lighttpd| lighttpd.blind.clone()))
}

fn once(all: impl Iterator<Item = Finding>) -> Verdict {
    let mut found: Vec<Finding> = Vec::new();
    for finding in all {
        if !found.contains(&finding) {
            found.push(finding);
        }
    }
    found.into_iter().collect()
}

/// Whether a handler makes up its mind about files before PHP-FPM or itself reads them.
fn looks_at_files(handler: &Handler) -> bool {
    match handler.does {
        Does::Files => true,
        // The directive tries files first; a bare transport does not.
        Does::Fpm { resolves } => resolves && handler.name == "php_fastcgi",
        Does::Franken => false,
    }
}
