//! Collect: what releases that are gone left in the caches is invalidated, so that a restart, when PHP wants one,
//! starts from space, and a full cache does not stay full.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use fastcgi::Address;
use release::{App, ReleaseId, history, live};

use super::ask::{Cache, Look, OpcacheError};
use super::figures::Figures;

/// What was collected from one cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collected {
    /// Scripts.
    pub scripts: u64,
    /// How full it is now.
    pub figures: Figures,
}

/// Invalidates what directories that do not stand in `releases` (canonical) any more left, whoever deleted them.
/// `None`: nothing was left.
pub fn gone(cache: &Cache, releases: &Path) -> Result<Option<Collected>, OpcacheError> {
    let look = cache.look(Some(releases), None)?;
    let dirs = dead(&look, releases);
    if dirs.is_empty() {
        return Ok(None);
    }
    let (scripts, figures) = cache.collect(dirs.iter().map(PathBuf::as_path))?;
    Ok(Some(Collected { scripts, figures }))
}

/// The same in every pool, after a prune; gives what could not be done, for people. A cache that is of no use, or that
/// our script cannot reach, has nothing that we put there.
pub fn everywhere(app: &App, map: &[(PathBuf, PathBuf)], pools: &[Address]) -> Vec<String> {
    let releases = releases(app);
    let collect = |pool| match Cache::of(app, map, pool).and_then(|cache| gone(&cache, &releases)) {
        Ok(_) | Err(OpcacheError::Unusable { .. } | OpcacheError::Refused { .. }) => None,
        Err(error) => Some(format!("what is gone still takes room in opcache: {error}")),
    };
    pools.iter().filter_map(collect).collect()
}

/// Where releases stand, as PHP names it.
pub fn releases(app: &App) -> PathBuf {
    let releases = app.releases();
    #[allow(
        clippy::disallowed_methods,
        reason = "releases/ lies above the link: no flip changes where it is"
    )]
    releases.canonicalize().unwrap_or(releases)
}

/// The directories that a cache knows and the disk does not.
pub(crate) fn dead(look: &Look, releases: &Path) -> Vec<PathBuf> {
    let named = look.shares.keys().filter(|name| !name.is_empty()).map(|name| releases.join(name));
    named
        .filter(|dir| dir.symlink_metadata().is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound))
        .collect()
}

/// The names of the releases whose scripts must stay: this one, the live one, and, if that is this one, the one that a
/// rollback would go to. When it cannot be told, all that stand in `releases/`.
pub(crate) fn needed(app: &App, this: &ReleaseId) -> HashSet<String> {
    let mut stay = HashSet::from([this.to_string()]);
    match (live::read(app), history::read(app)) {
        (Ok(live), Ok(events)) => {
            // Once another is live, a rollback goes to what is live now.
            let back = history::last_good_before(&events, &live.id).filter(|_| live.id == *this);
            stay.extend(back.map(|back| back.to_string()));
            stay.insert(live.id.to_string());
        }
        (_, _) => {
            let names = std::fs::read_dir(app.releases()).into_iter().flatten().flatten();
            stay.extend(names.filter_map(|entry| entry.file_name().into_string().ok()));
        }
    }
    stay
}
