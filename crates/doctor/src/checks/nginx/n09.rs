//! N09: an alias is no root: a pinned root does not pin it.

use super::fix;
use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;
use crate::facts::nginx::Nginx;
use crate::facts::nginx::lead::Lead;
use crate::facts::nginx::level::Level;
use crate::finding::{Edit, Finding, Fix};

/// The check.
pub const CHECK: Check = Check {
    id: "N09",
    severity: Severity::Warning,
    title: "an alias goes through the link",
    visitor: "A page of one release loads files of the other, or gets errors 404 for them, while the link flips.",
    page: include_str!("../../../../../docs/doctor/N09.md"),
    look,
};

fn look(facts: &Facts) -> Verdict {
    let levels = facts.nginx.iter().flat_map(|nginx| nginx.levels.all().map(move |level| (nginx, level)));
    levels.filter_map(|(nginx, level)| judged(nginx, level)).collect()
}

fn judged(nginx: &Nginx, level: &Level) -> Option<Finding> {
    let alias = level.last("alias")?;
    let Lead::Link(through) = nginx.leads(level.id, alias.arg(0)) else { return None };
    let what = format!("{}: goes through the link {} on its own", level.told(), through.link.display());
    let mut fix = Fix::from(format!("use the pinned root's variable in its place; {}", fix::PIN));
    if let Some((pin, root)) = pinned(nginx, level)
        && let Some(rest) = alias.arg(0).strip_prefix(root)
        && (rest.is_empty() || rest.starts_with('/'))
        && nginx.owned(&alias.at().file)
    {
        let with = format!("${pin}{rest}");
        fix = Fix::from(format!("`alias {with};`")).edit(Edit::Replace { at: alias.at_arg(0).clone(), with });
    }
    Some(nginx.as_sure(Finding::at(alias.at_arg(0), what, fix), through.seen))
}

/// The variable that holds the pinned root of the server, and what root that is of.
fn pinned<'n>(nginx: &'n Nginx, level: &Level) -> Option<(String, &'n str)> {
    let server = nginx.levels.server(level.id)?;
    let root = server.last("root").filter(|root| root.arg(0).starts_with('/'))?;
    server.all("set").find_map(|set| match nginx.leads(server.id, set.arg(0)) {
        Lead::Pinned(pin) => Some((pin, root.arg(0))),
        Lead::Link(_) | Lead::Resolved | Lead::Fixed | Lead::Unknown(_) => None,
    })
}
