//! D11: vendor, or a cache of compiled code, is one directory for all releases.

use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;
use crate::finding::{Finding, told};
use std::path::{Component, Path};

/// The check.
pub const CHECK: Check = Check {
    id: "D11",
    severity: Severity::Error,
    title: "code or its caches are shared by releases",
    visitor: "Pages of the old release run code of the new one, before and after the flip.",
    page: include_str!("../../../../../docs/doctor/D11.md"),
    look,
};

/// Directories of code, and of what is compiled from it, by which a release is what it is.
const OWN: [&str; 15] = [
    "vendor",
    "node_modules",
    "src",
    "app",
    "lib",
    "config",
    "routes",
    "templates",
    "bootstrap/cache",
    "var/cache",
    "storage/framework/views",
    "cache",
    "generated",
    "public/build",
    "templates_c",
];

fn look(facts: &Facts) -> Verdict {
    let found = facts.apps.iter().filter_map(|app| Some((app, app.live.as_ref()?))).flat_map(|(app, tree)| {
        let shared = tree.links.iter().filter(|(path, to)| OWN.iter().any(|own| path == Path::new(own)) && leaves(path, to, &tree.root));
        shared.map(move |(path, to)| {
            let what = format!("{} of each release is one and the same directory, {}: a deploy changes it under the release that is live", path.display(), told(to));
            let line = app.ours.as_ref().and_then(|ours| {
                let name = format!("\"{}\"", path.display());
                ours.source.text.lines().position(|line| line.contains(&name)).map(|line| ours.source.line(line + 1))
            });
            let fix = "leave it out of what is shared (shared_dirs, linked_dirs), so that each release has its own; Cutover stages what did not change without copying it";
            Finding { at: line, ..Finding::anywhere(what, fix) }
        })
    });
    found.collect()
}

/// Whether a link in a release leads out of it.
fn leaves(path: &Path, to: &Path, root: &Path) -> bool {
    let mut at = root.join(path.parent().unwrap_or(Path::new("")));
    for part in to.components() {
        match part {
            Component::RootDir => at = "/".into(),
            Component::ParentDir => drop(at.pop()),
            Component::Normal(name) => at.push(name),
            Component::CurDir | Component::Prefix(_) => {}
        }
    }
    !at.starts_with(root)
}
