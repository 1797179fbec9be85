//! N07: the cache is asked by the path that is configured, which is the same for every release.

use std::collections::BTreeMap;

use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;
use crate::facts::nginx::Nginx;
use crate::facts::nginx::lead::Lead;
use crate::facts::nginx::level::Level;
use crate::facts::nginx::parse::Directive;
use crate::finding::{Edit, Finding, Fix};
use crate::source::Span;

/// The check.
pub const CHECK: Check = Check {
    id: "N07",
    severity: Severity::Warning,
    title: "open_file_cache keeps files of the old release",
    visitor: "For as long as the cache is valid visitors get files of the old release, and errors 404 for files that only the new one has.",
    page: include_str!("../../../../../docs/doctor/N07.md"),
    look,
};

/// What nginx keeps for if nothing is said, in seconds (ngx_http_core_module.c).
const USUAL_S: u64 = 60;

fn look(facts: &Facts) -> Verdict {
    facts.nginx.iter().flat_map(judged).collect()
}

/// A place that switches the cache on, and what it is on for.
struct On<'n> {
    at: &'n Span,
    valid_s: u64,
    errors: bool,
    roots: Vec<Root<'n>>,
}

/// A root through a link.
struct Root<'n> {
    server: &'n Level,
    root: &'n Directive,
    seen: bool,
}

fn judged(nginx: &Nginx) -> Vec<Finding> {
    // One finding for each place that switches it on, whatever number of roots it is on for.
    let mut found: BTreeMap<&Span, On> = BTreeMap::new();
    for server in nginx.servers() {
        for level in nginx.serving(server.id) {
            let effective = |name| nginx.levels.effective(level.id, name).map(|(_, directive)| directive);
            let Some(cache) = effective("open_file_cache") else { continue };
            let valid_s = effective("open_file_cache_valid").and_then(|valid| seconds(valid.arg(0)));
            let valid_s = valid_s.unwrap_or(USUAL_S);
            let Lead::Link(through) = nginx.root_leads(level.id) else { continue };
            let Some((_, root)) = nginx.levels.root(level.id) else { continue };
            if cache.arg(0) == "off" || valid_s <= 1 {
                continue;
            }
            let at = cache.at();
            let on = found.entry(at).or_insert(On { at, valid_s, errors: false, roots: Vec::new() });
            on.valid_s = on.valid_s.max(valid_s);
            on.errors |= effective("open_file_cache_errors").is_some_and(|errors| errors.arg(0) == "on");
            if !on.roots.iter().any(|known| known.root.at() == root.at()) {
                on.roots.push(Root { server, root, seen: through.seen });
            }
        }
    }
    found.into_values().map(|on| told(nginx, &on)).collect()
}

fn told(nginx: &Nginx, on: &On) -> Finding {
    let with = if on.errors { ", and that files were not there" } else { "" };
    let what = format!("for up to {} s nginx remembers what stood behind the link{with}", on.valid_s);
    let text = "switch it off where the root goes through the link (`open_file_cache off;` in the server), or pin the \
                root: then the paths of two releases differ (docs/nginx.md)";
    let lines = on.roots.iter().map(|Root { root, server, .. }| {
        // Where it is switched on beside the root, nginx takes no second line.
        let beside = server.last("open_file_cache").is_some();
        let plain = nginx.owned(&root.at().file) && root.alone() && root.is("root") && !beside;
        plain.then(|| Edit::Below {
            at: root.end.clone(),
            lines: format!("{}open_file_cache off;", root.indent()),
        })
    });
    let edits: Option<Vec<Edit>> = lines.collect();
    let mut finding = Finding::at(on.at, what, Fix { text: text.into(), edits: edits.unwrap_or_default() });
    for Root { server, root, .. } in on.roots.iter().take(3) {
        finding = finding.also(format!("on for {}", server.told()), root.at_arg(0));
    }
    nginx.as_sure(finding, on.roots.iter().any(|root| root.seen))
}

/// nginx's times: `60`, `60s`, `1m30s`, `1h`.
fn seconds(text: &str) -> Option<u64> {
    let mut sum = 0;
    let mut number = String::new();
    for c in text.chars().filter(|c| *c != ' ') {
        if c.is_ascii_digit() {
            number.push(c);
            continue;
        }
        let unit = match c {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            'w' => 604_800,
            'M' => 2_592_000,
            'y' => 31_536_000,
            _ => return None,
        };
        sum += number.parse::<u64>().ok()?.checked_mul(unit)?;
        number.clear();
    }
    if number.is_empty() { Some(sum) } else { Some(sum + number.parse::<u64>().ok()?) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_nginx_reads_them() {
        for (text, expected) in [("60", Some(60)), ("1m30s", Some(90)), ("2h", Some(7_200)), ("500ms", None)]
        {
            assert_eq!(seconds(text), expected, "{text}");
        }
    }
}
