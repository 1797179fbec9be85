//! N06: the pin is empty when the link leads nowhere, and an empty root is not what anybody meant.

use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;
use crate::facts::nginx::lead::Lead;
use crate::facts::nginx::level::{Kind, Level};
use crate::facts::nginx::{Nginx, value};
use crate::finding::{Edit, Finding, Fix};

/// The check.
pub const CHECK: Check = Check {
    id: "N06",
    severity: Severity::Error,
    title: "a pinned root without a guard for a link that leads nowhere",
    visitor: "While the link is missing nginx serves from whatever an empty root means: pages not found, or files that were never meant to be served.",
    page: include_str!("../../../../../docs/doctor/N06.md"),
    look,
};

fn look(facts: &Facts) -> Verdict {
    let servers = facts.nginx.iter().flat_map(|nginx| nginx.servers().map(move |server| (nginx, server)));
    servers.filter_map(|(nginx, server)| judged(nginx, server)).collect()
}

fn judged(nginx: &Nginx, server: &Level) -> Option<Finding> {
    let roots = nginx.levels.within(server.id).flat_map(|level| {
        level.own.iter().filter(|it| it.is("root") || it.is("alias")).map(move |root| (level, root))
    });
    let (level, root, pin) = roots
        .filter_map(|(level, root)| match nginx.leads(level.id, root.arg(0)) {
            Lead::Pinned(pin) => Some((level, root, pin)),
            Lead::Link(_) | Lead::Resolved | Lead::Fixed | Lead::Unknown(_) => None,
        })
        .find(|(level, _, pin)| !guarded(nginx, server, level, pin))?;
    let what = format!(
        "{}: nothing is done about an empty ${pin}, as it is while the link leads nowhere",
        server.told()
    );
    let text = format!("below the line that sets it: `if (${pin} = \"\") {{ return 503; }}`");
    let edit = nginx
        .set(level.id, &pin)
        .map(|(_, set)| set)
        .filter(|set| nginx.owned(&set.at().file) && set.alone());
    let edits = edit.map(|set| Edit::Below {
        at: set.end.clone(),
        lines: format!("{}if (${pin} = \"\") {{ return 503; }}", set.indent()),
    });
    let fix = Fix { text, edits: edits.into_iter().collect() };
    Some(nginx.as_sure(Finding::at(root.at_arg(0), what, fix), true))
}

/// Whether a condition on the variable, or on what it is set to, ends the request.
fn guarded(nginx: &Nginx, server: &Level, at: &Level, pin: &str) -> bool {
    let source = nginx.set(at.id, pin).map(|(_, set)| set.arg(1)).unwrap_or_default();
    let asks = |level: &Level| {
        let words = level.block.args.iter();
        words.clone().any(|word| value::has(&word.text, pin))
            || words.flat_map(|word| value::variables(&word.text)).any(|name| value::has(source, name))
    };
    let outer: Vec<_> = nginx.levels.outwards(at.id).map(|level| level.id).collect();
    nginx.levels.within(server.id).any(|level| {
        level.kind == Kind::If
            && level.up.is_some_and(|up| outer.contains(&up))
            && level.last("return").is_some()
            && asks(level)
    })
}
