//! N03: what puts a parameter right is put wrong again by an include below it.

use super::{Overridden, fix, overridden};
use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;
use crate::facts::nginx::Nginx;
use crate::facts::nginx::level::Level;
use crate::finding::{Edit, Finding, Fix};
use crate::source::Span;

/// The check.
pub const CHECK: Check = Check {
    id: "N03",
    severity: Severity::Error,
    title: "an include overrides the resolved path above it",
    visitor: "The line with $realpath_root has no effect: pages are made of parts of both releases.",
    page: include_str!("../../../../../docs/doctor/N03.md"),
    look,
};

fn look(facts: &Facts) -> Verdict {
    let levels = facts.nginx.iter().flat_map(|nginx| nginx.fastcgi().map(move |level| (nginx, level)));
    levels.flat_map(|(nginx, level)| judged(nginx, level)).collect()
}

fn judged(nginx: &Nginx, level: &Level) -> Vec<Finding> {
    let over = |name| Some((name, overridden(nginx, level.id, name)?));
    let all: Vec<_> = ["SCRIPT_FILENAME", "DOCUMENT_ROOT"].into_iter().filter_map(over).collect();
    // One include that sets both again is one finding: one move puts both right.
    let mut places: Vec<&Span> = all.iter().map(|(_, over)| place(over)).collect();
    places.dedup();
    let told = |again: &Span| {
        let here = all.iter().filter(|(_, over)| place(over) == again);
        let names: Vec<&str> = here.clone().map(|(name, _)| *name).collect();
        let (_, first) = here.clone().next()?;
        let is = if names.len() == 1 { "is" } else { "are" };
        let names = names.join(" and ");
        let what =
            format!("{}: {names} {is} set again below, and of several PHP-FPM takes the last", level.told());
        let text = format!("move the include above every fastcgi_param; {}", fix::PIN);
        let fix = Fix { text, edits: moved(nginx, level, again).unwrap_or_default() };
        let finding = Finding::at(first.right.at_arg(1), what, fix).also("set again here", again);
        Some(nginx.as_sure(finding, first.seen))
    };
    places.into_iter().filter_map(told).collect()
}

/// Where it is set again, as it is seen from the file with the right line: the include there, or the line itself.
fn place<'n>(over: &Overridden<'n>) -> &'n Span {
    let file = &over.right.at().file;
    let mut via = over.again.via.as_ref();
    while let Some(up) = via {
        if up.at.file == *file {
            return &up.at;
        }
        via = up.up.as_ref();
    }
    over.again.at_arg(1)
}

/// Moves an include above the first of the parameters that stand in its file.
fn moved(nginx: &Nginx, level: &Level, include: &Span) -> Option<Vec<Edit>> {
    let (_, params) = nginx.levels.list(level.id, "fastcgi_param");
    let first = params.into_iter().find(|param| param.at().file == include.file && param.alone())?;
    let fits = nginx.owned(&include.file) && fix::alone(include);
    fits.then(|| {
        let above = Edit::Above { at: first.at().clone(), lines: include.text.to_string() };
        vec![above, Edit::Delete { at: include.clone() }]
    })
}
