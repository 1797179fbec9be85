//! N18: includes, certificates and scripts are read at start and reload; a flip changes none of them.

use std::collections::BTreeSet;
use std::path::Path;

use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;
use crate::facts::links::{Flips, Way};
use crate::facts::nginx::Nginx;
use crate::facts::nginx::parse::Directive;
use crate::finding::Finding;
use crate::source::Span;

/// The check.
pub const CHECK: Check = Check {
    id: "N18",
    severity: Severity::Warning,
    title: "nginx reads a file of a release only when it starts",
    visitor: "After a flip nginx goes on by the rules of the old release, until somebody reloads it.",
    page: include_str!("../../../../../docs/doctor/N18.md"),
    look,
};

/// What is read at start, by the directive that names it.
const AT_START: [&str; 9] = [
    "geoip_country",
    "js_import",
    "js_include",
    "perl_modules",
    "ssl_certificate",
    "ssl_certificate_key",
    "ssl_client_certificate",
    "ssl_dhparam",
    "ssl_trusted_certificate",
];

const FIX: &str = "keep it outside of the releases, or reload nginx after each flip: `after_flip = [\"nginx -s reload\"]` \
                   in [hooks]";

fn look(facts: &Facts) -> Verdict {
    facts.nginx.iter().flat_map(judged).collect()
}

fn judged(nginx: &Nginx) -> Vec<Finding> {
    let mut told: BTreeSet<&Span> = BTreeSet::new();
    let mut findings = Vec::new();
    for directive in nginx.levels.all().flat_map(|level| level.own.iter().chain([&level.block])) {
        if let Some((at, path)) = included(nginx, directive).filter(|(at, _)| told.insert(at)) {
            let what = format!("{path} is read through the link, at start and reload");
            findings.push(nginx.as_sure(Finding::at(at, what, FIX), true));
        }
        let named = AT_START.iter().any(|name| directive.is(name));
        let way =
            directive.args.iter().find_map(|word| Some((word, nginx.ways.get(Path::new(&*word.text))?)));
        if let (true, Some((word, way))) = (named, way)
            && flips(way)
            && told.insert(&word.at)
        {
            let what = format!("{} is read through the link, at start and reload", word.text);
            findings.push(nginx.as_sure(Finding::at(&word.at, what, FIX), true));
        }
    }
    findings
}

/// The include by which something was read from a file behind a link that flips.
fn included<'n>(nginx: &Nginx, directive: &'n Directive) -> Option<(&'n Span, String)> {
    let file = &directive.at().file;
    let via = directive.via.as_ref()?;
    let way = nginx.ways.get(file.parent()?)?;
    flips(way).then(|| (&via.at, file.display().to_string()))
}

fn flips(way: &Way) -> bool {
    match way.flips() {
        Flips::By(_) => true,
        Flips::Never | Flips::Named(_) | Flips::Blind(_) => false,
    }
}
