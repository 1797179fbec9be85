//! A05: `<Directory>` names the link, but a pinned request is in the release.

use std::collections::BTreeSet;
use std::path::Path;

use super::{each, linked};
use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;
use crate::facts::apache::Apache;
use crate::facts::apache::directive::{Directive, walk};
use crate::facts::apache::pinning::Pinner;
use crate::facts::apache::section::covers;
use crate::facts::apache::site::Site;
use crate::facts::place::Flipping;
use crate::finding::{Edit, Finding, Fix, told};

/// The check.
pub const CHECK: Check = Check {
    id: "A05",
    severity: Severity::Error,
    title: "<Directory> names the link only",
    visitor: "Visitors get 403, or pages without what the section says: its .htaccess, its protection.",
    page: include_str!("../../../../../docs/doctor/A05.md"),
    look,
};

fn look(facts: &Facts) -> Verdict {
    each(facts, |apache| {
        linked(apache)
            .filter(|(site, _)| apache.pins(site))
            .flat_map(|(site, flipping)| judged(apache, site, &flipping))
            .collect()
    })
}

fn judged(apache: &Apache, site: &Site, flipping: &Flipping<'_>) -> Vec<Finding> {
    let Some(real) = flipping.place.way.real() else { return Vec::new() };
    let all = sections(apache, site);
    let cutover = apache.pinning.as_ref().is_some_and(|pinning| pinning.by == Pinner::Cutover);
    let link = told(&flipping.link);
    let by_link = |section: &Directive| {
        if section.is_regex() {
            section.dir().replace('\\', "").contains(&link)
        } else {
            // mod_cutover sees to it that these go on being about the release.
            !cutover && Path::new(section.dir()).starts_with(&flipping.link)
        }
    };
    // What holds for the release by sections that say more than what holds for the whole machine.
    let held: BTreeSet<&str> = all
        .iter()
        .filter(|section| !by_link(section))
        .filter(|section| !by_link(section))
        .filter(|section| covers(section, real) && Path::new(section.dir()) != Path::new("/"))
        .flat_map(|section| said(section))
        .collect();
    let found = all.iter().filter(|section| by_link(section)).filter_map(|section| {
        let lost: Vec<&str> = said(section).filter(|name| !held.contains(name)).collect();
        if lost.is_empty() {
            return None;
        }
        let (dir, releases) = (section.dir(), told(flipping.releases()));
        let what = format!("<Directory {dir}> is not about pinned requests, which are below {releases}");
        let fix = Fix::from(format!("write the section for {releases}"));
        let word = section.words.first()?;
        let other = Edit::Replace { at: word.at.clone(), with: releases };
        let fix = if word.at == section.at || section.is_regex() { fix } else { fix.edit(other) };
        Some(
            flipping
                .weighed(Finding::at(&section.at, what, fix).also("the document root", &flipping.place.at)),
        )
    });
    found.collect()
}

/// All `<Directory>` sections of a site and the main server.
fn sections<'a>(apache: &'a Apache, site: &'a Site) -> Vec<&'a Directive> {
    let mut found = Vec::new();
    let own = site.at.as_ref().map_or(&[][..], |_| &site.directives);
    for directives in [&apache.main.directives, own] {
        walk(directives, &mut Vec::new(), &mut |directive, _| {
            if directive.name.starts_with("directory") && directive.body.is_some() {
                found.push(directive);
            }
        });
    }
    found
}

/// What a section says: the names of its directives.
fn said(section: &Directive) -> impl Iterator<Item = &str> {
    let name = |inner: &'static str| inner;
    section.body().iter().map(move |inner| match inner.name.as_str() {
        // All of them say who may come in.
        "order" | "allow" | "deny" | "require" | "requireall" | "requireany" | "requirenone" => {
            name("require")
        }
        other => other,
    })
}
