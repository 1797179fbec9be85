//! N04: `set $x $realpath_root` resolves the link twice, first for its length; a flip in between overruns the buffer.

use super::fix;
use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;
use crate::facts::nginx::lead::Lead;
use crate::facts::nginx::level::{Kind, Level};
use crate::facts::nginx::parse::Directive;
use crate::facts::nginx::{Nginx, Version, value};
use crate::finding::{Edit, Finding, Fix};

/// The check.
pub const CHECK: Check = Check {
    id: "N04",
    severity: Severity::Error,
    title: "a variable is set to $realpath_root directly",
    visitor: "Before nginx 1.31.3 a flip at the wrong moment writes beyond a buffer: a worker may crash, and with it every request it serves.",
    page: include_str!("../../../../../docs/doctor/N04.md"),
    look,
};

/// The first version that looks at the length again (nginx b76754049).
const BOUNDED: Version = Version(1, 31, 3);

fn look(facts: &Facts) -> Verdict {
    let dangerous = |nginx: &&Nginx| nginx.version.is_none_or(|version| version < BOUNDED);
    let nginxes = facts.nginx.iter().filter(dangerous);
    nginxes.flat_map(|nginx| nginx.levels.all().flat_map(move |level| judged(nginx, level))).collect()
}

fn judged(nginx: &Nginx, level: &Level) -> Vec<Finding> {
    let flips = matches!(nginx.root_leads(level.id), Lead::Link(_) | Lead::Unknown(_));
    if !flips {
        return Vec::new();
    }
    let told = |finding: Finding| match nginx.version {
        Some(_) => finding,
        None => finding.likely(),
    };
    let twice = level.own.iter().filter(|it| it.is("set") || it.is("rewrite"));
    let twice = twice.filter(|it| value::has(it.arg(1), "realpath_root"));
    let mut findings: Vec<Finding> = twice
        .map(|it| {
            let version = nginx.version.map_or("nginx of this version".into(), |version| format!("nginx {version}"));
            let what = format!("{version} resolves the link twice here, first to measure it: a flip in between overruns the buffer");
            told(Finding::at(it.at_arg(1), what, mapped(nginx, level, it)))
        })
        .collect();
    if level.kind == Kind::If && level.block.args.iter().any(|word| value::has(&word.text, "realpath_root")) {
        let what =
            "the link is resolved once more here: the condition may be about another release than the rest";
        let text = format!("ask a variable that a map has made of $realpath_root once; {}", fix::PIN);
        findings.push(told(Finding::at(level.block.at_arg(0), what, text)));
    }
    findings
}

fn mapped(nginx: &Nginx, level: &Level, set: &Directive) -> Fix {
    let fix = Fix::from(format!(
        "in http: `map $server_name $release_pin {{ default $realpath_root; }}`, and $release_pin here; {}",
        fix::PIN
    ));
    let Some(server) = nginx.levels.server(level.id) else { return fix };
    let at = set.at_arg(1);
    let whole = set.is("set") && matches!(set.arg(1), "$realpath_root" | "${realpath_root}");
    let place = server.block.at();
    if !whole || !nginx.owned(&at.file) || !nginx.owned(&place.file) || !server.block.alone_at_head() {
        return fix;
    }
    let mut fix = fix.edit(Edit::Replace { at: at.clone(), with: "$release_pin".into() });
    if !nginx.maps.contains_key("release_pin") {
        let lines =
            format!("{}map $server_name $release_pin {{ default $realpath_root; }}", server.block.indent());
        fix = fix.edit(Edit::Above { at: place.clone(), lines });
    }
    fix
}
