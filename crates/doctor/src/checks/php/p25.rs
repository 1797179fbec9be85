//! P25: the keys in APCu do not name the release.

use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;
use crate::facts::php::Php;
use crate::finding::Finding;

/// The check.
pub const CHECK: Check = Check {
    id: "P25",
    severity: Severity::Info,
    title: "APCu is shared by releases",
    visitor: "New code may be handed what old code had stored, in another shape.",
    page: include_str!("../../../../../docs/doctor/P25.md"),
    look,
};

fn look(facts: &Facts) -> Verdict {
    let found = facts.fpm.iter().filter_map(|master| {
        let (php, apcu) = master.pools.iter().find_map(|pool| Some((&pool.php, pool.php.inside()?.apcu.as_ref()?)))?;
        let app = facts.apps.iter().find(|app| !app.releases.is_empty())?;
        let names = app.releases.iter().filter_map(|release| release.file_name()?.to_str()).collect::<Vec<_>>();
        let first = apcu.keys.first()?;
        if apcu.keys.iter().any(|key| names.iter().any(|name| key.contains(name))) {
            return None;
        }
        let what = format!(
            "{} has {} entries in APCu, {first:?} among them, and no key that was seen names a release: after a flip both releases read and write the same entries",
            php.name, apcu.entries
        );
        let fix = "put the release's name into the prefix of the cache (basename(dirname(__DIR__)) in its configuration), if what is stored has the shape of the code";
        Some(Finding::anywhere(what, fix).likely())
    });
    found.collect::<Verdict>().or_blind(facts.phps().filter_map(Php::blind))
}
