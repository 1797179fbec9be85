//! N: checks of nginx.

mod fix;
mod n01;
mod n02;
mod n03;
mod n04;
mod n05;
mod n06;
mod n07;
mod n08;
mod n09;
mod n10;
mod n11;
mod n12;
mod n13;
mod n14;
mod n15;
mod n16;
mod n17;
mod n18;
mod n19;

use crate::check::Check;
use crate::facts::nginx::Nginx;
use crate::facts::nginx::lead::Lead;
use crate::facts::nginx::level::Id;
use crate::facts::nginx::parse::Directive;

/// All of them, by id; one a line, so that two who add one do not meet.
#[rustfmt::skip]
pub const ALL: &[Check] = &[
    n01::CHECK,
    n02::CHECK,
    n03::CHECK,
    n04::CHECK,
    n05::CHECK,
    n06::CHECK,
    n07::CHECK,
    n08::CHECK,
    n09::CHECK,
    n10::CHECK,
    n11::CHECK,
    n12::CHECK,
    n13::CHECK,
    n14::CHECK,
    n15::CHECK,
    n16::CHECK,
    n17::CHECK,
    n18::CHECK,
    n19::CHECK,
];

/// A parameter that was right, and then set again.
struct Overridden<'n> {
    /// The right one.
    right: &'n Directive,
    /// The later one, through the link.
    again: &'n Directive,
    /// The link was seen.
    seen: bool,
}

/// Whether a parameter is resolved first and goes through the link in the end.
fn overridden<'n>(nginx: &'n Nginx, id: Id, name: &str) -> Option<Overridden<'n>> {
    let (_, params) = nginx.levels.list(id, "fastcgi_param");
    let same: Vec<&Directive> = params.into_iter().filter(|param| param.arg(0) == name).collect();
    let again = *same.last()?;
    let Lead::Link(through) = nginx.leads(id, again.arg(1)) else { return None };
    let is_right =
        |param: &&Directive| matches!(nginx.leads(id, param.arg(1)), Lead::Resolved | Lead::Pinned(_));
    let right = same.into_iter().find(is_right)?;
    Some(Overridden { right, again, seen: through.seen })
}
