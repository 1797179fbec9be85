//! P08: opcache.memory_consumption is less than the releases that are kept take, and one more.

use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;
use crate::facts::app::App;
use crate::facts::php::Php;
use crate::facts::php::inside::megabytes;
use std::path::Path;

/// The check.
pub const CHECK: Check = Check {
    id: "P08",
    severity: Severity::Warning,
    title: "opcache is too small for the releases that are kept",
    visitor: "Some deploys from now the cache is full, and requests become slow.",
    page: include_str!("../../../../../docs/doctor/P08.md"),
    look,
};

fn look(facts: &Facts) -> Verdict {
    let found = facts.fpm.iter().filter_map(|master| {
        let (php, opcache) = master.pools.iter().find_map(|pool| Some((&pool.php, pool.php.opcache()?)))?;
        let (home, _, bytes) = opcache.largest()?;
        let app = facts.apps.iter().find(|app| app.is_in_releases(Path::new(home)))?;
        let keep = kept(app)?;
        let (_, _, held) = opcache.releases();
        let needed = bytes * (keep + 1) + opcache.used.saturating_sub(held);
        if opcache.full || opcache.total() >= needed {
            return None;
        }
        let why = format!(
            "{keep} releases are kept, each takes {}: with one more that is {}, and there are {}",
            megabytes(bytes),
            megabytes(needed),
            megabytes(opcache.total())
        );
        let to = needed.div_ceil(64 << 20) * 64;
        Some(php.ini("opcache.memory_consumption").wrong(&why, &to.to_string()))
    });
    found.collect::<Verdict>().or_blind(facts.phps().filter_map(Php::blind))
}

/// How many releases are kept. Cutover lets opcache forget what it prunes; of other tools only the number that stands
/// there is known.
fn kept(app: &App) -> Option<u64> {
    match &app.ours {
        Some(ours) => Some(u64::from(ours.config.host.app.keep)),
        None => Some(app.releases.len() as u64).filter(|count| *count > 1),
    }
}
