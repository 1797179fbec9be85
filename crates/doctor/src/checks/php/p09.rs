//! P09: opcache.max_accelerated_files is less than the files of the releases that are kept, and one more.

use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;
use crate::facts::php::Php;
use crate::sizing::prime;
use std::path::Path;

/// The check.
pub const CHECK: Check = Check {
    id: "P09",
    severity: Severity::Warning,
    title: "opcache has too few keys for the releases that are kept",
    visitor: "Some deploys from now opcache takes no new files, and requests become slow.",
    page: include_str!("../../../../../docs/doctor/P09.md"),
    look,
};

fn look(facts: &Facts) -> Verdict {
    let found = facts.fpm.iter().filter_map(|master| {
        let (php, opcache) = master.pools.iter().find_map(|pool| Some((&pool.php, pool.php.opcache()?)))?;
        let (home, scripts, _) = opcache.largest()?;
        let app = facts.apps.iter().find(|app| app.is_in_releases(Path::new(home)))?;
        // A release that was not asked for everything yet will have more scripts, up to all of its files.
        let files = app.live.as_ref().map_or(0, |tree| tree.php.len() as u64).min(2 * scripts).max(scripts);
        let keep = app.ours.as_ref().map_or(app.releases.len() as u64, |ours| u64::from(ours.config.host.app.keep));
        let needed = files * (keep + 1);
        if opcache.max_keys >= needed {
            return None;
        }
        let why = format!(
            "{keep} releases are kept, each of about {files} scripts: with one more that is {needed} keys, and there are {} ({} in use)",
            opcache.max_keys, opcache.keys
        );
        Some(php.ini("opcache.max_accelerated_files").wrong(&why, &prime(needed).to_string()))
    });
    found.collect::<Verdict>().or_blind(facts.phps().filter_map(Php::blind))
}
