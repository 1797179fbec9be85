//! N15: a value that a visitor chooses ends up in settings of PHP, a line break away from auto_prepend_file.

use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;
use crate::facts::nginx::lead::{Steps, map_values};
use crate::facts::nginx::level::Id;
use crate::facts::nginx::{Nginx, value};
use crate::finding::Finding;

/// The check.
pub const CHECK: Check = Check {
    id: "N15",
    severity: Severity::Error,
    title: "visitors write into PHP_VALUE",
    visitor: "A visitor sets PHP up as he likes: any code of his runs.",
    page: include_str!("../../../../../docs/doctor/N15.md"),
    look,
};

/// Variables that visitors choose, or choose by: their whole names, and how they begin.
const CHOSEN: [&str; 11] = [
    "args",
    "document_uri",
    "fastcgi_script_name",
    "host",
    "query_string",
    "realpath_request",
    "request",
    "request_body",
    "request_filename",
    "request_uri",
    "uri",
];
const CHOSEN_BY_NAME: [&str; 4] = ["http_", "arg_", "cookie_", "sent_http_"];

fn look(facts: &Facts) -> Verdict {
    facts.nginx.iter().flat_map(judged).collect()
}

fn judged(nginx: &Nginx) -> Vec<Finding> {
    let mut findings = Vec::new();
    for level in nginx.fastcgi() {
        for name in ["PHP_VALUE", "PHP_ADMIN_VALUE"] {
            let Some(param) = nginx.param(level.id, name) else { continue };
            let Some(chosen) = chosen(nginx, level.id, param.arg(1), &Steps::of(nginx)) else { continue };
            let what = format!("{}: {name} has ${chosen} in it, which a visitor chooses", level.told());
            let text = "take it out; where sites differ, let a map choose among values that are written down";
            findings.push(nginx.as_sure(Finding::at(param.at_arg(1), what, text), true));
        }
    }
    findings
}

/// The first variable in a value that visitors choose.
fn chosen(nginx: &Nginx, id: Id, text: &str, steps: &Steps) -> Option<String> {
    let steps = &steps.further()?;
    value::variables(text).find_map(|name| {
        let captured = name.chars().all(|c| c.is_ascii_digit());
        if captured || CHOSEN.contains(&name) || CHOSEN_BY_NAME.iter().any(|begin| name.starts_with(begin)) {
            return Some(name.to_owned());
        }
        if let Some((level, set)) = nginx.set(id, name) {
            return chosen(nginx, level, set.arg(1), steps);
        }
        // What a map goes by may be chosen: only what it gives counts.
        let map = nginx.maps.get(name)?;
        map_values(map).find_map(|value| chosen(nginx, id, value, steps))
    })
}
