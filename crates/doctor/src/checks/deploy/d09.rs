//! D09: releases are on NFS or the like: a flip on one machine is seen by others later.

use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;
use crate::finding::{Finding, told};

/// The check.
pub const CHECK: Check = Check {
    id: "D09",
    severity: Severity::Warning,
    title: "releases are on a file system that other machines change",
    visitor: "Some machines serve the old release for some seconds longer, or half of the new one.",
    page: include_str!("../../../../../docs/doctor/D09.md"),
    look,
};

fn look(facts: &Facts) -> Verdict {
    let found = facts.apps.iter().filter_map(|app| {
        let mount = app.mount.as_ref().filter(|mount| mount.is_remote())?;
        let what = format!(
            "{} is on {} ({} at {}): the kernel keeps what it knew of links for some seconds, is told of no change by other machines, and locks may not reach them",
            told(&app.root),
            mount.kind,
            mount.from,
            told(&mount.point)
        );
        Some(Finding::anywhere(what, "releases on a disk of each machine, and one flip for all: [[host]] in cutover.toml").likely())
    });
    found.collect()
}
