//! Papers: the records and logs of releases that are gone go with them; those of the last failures stay.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::UNIX_EPOCH;

use release::lock::DeployLock;
use release::{App, ReleaseId};

use crate::journal::Ending;
use crate::record;

/// So many failed deploys can be read about when nothing else is left of them.
const FAILURES: usize = 5;

/// Removes what tells of releases that are gone, but for the last failures. Gives how many names were removed.
pub fn sweep(lock: &DeployLock) -> std::io::Result<usize> {
    let app = lock.app();
    let dirs = [app.records(), app.all_logs()];
    let mut names = BTreeSet::new();
    for dir in &dirs {
        names.extend(listed(dir)?);
    }
    let mut failures = Vec::new();
    let mut gone = Vec::new();
    for name in names {
        let id = ReleaseId::parse(&name).ok();
        if id.as_ref().is_some_and(|id| stands(app, id)) {
            continue;
        }
        match failed_ms(app, &name, id.as_ref()) {
            Some(at_ms) => failures.push((at_ms, name)),
            None => gone.push(name),
        }
    }
    failures.sort();
    failures.truncate(failures.len().saturating_sub(FAILURES));
    gone.extend(failures.into_iter().map(|(_, name)| name));
    for name in &gone {
        for dir in &dirs {
            remove(&dir.join(name))?;
        }
    }
    Ok(gone.len())
}

/// Whether there is such a release: a tree, or a seal whose contents the store has.
fn stands(app: &App, id: &ReleaseId) -> bool {
    app.manifest(id).exists() || app.places(id).iter().any(|place| place.exists())
}

/// When the deploy that this tells of failed; `None`: it did not.
fn failed_ms(app: &App, name: &str, id: Option<&ReleaseId>) -> Option<u64> {
    let Some(record) = id.and_then(|id| record::read(app, id)) else {
        // It failed before its release had a name.
        let changed = app.logs(name).metadata().and_then(|meta| meta.modified()).ok()?;
        return u64::try_from(changed.duration_since(UNIX_EPOCH).ok()?.as_millis()).ok();
    };
    match record.ending {
        Some(Ending::Undone | Ending::FlippedBack | Ending::Unhealthy) => Some(record.began_ms),
        Some(Ending::Live | Ending::Unchanged) | None => None,
    }
}

fn listed(dir: &Path) -> std::io::Result<Vec<String>> {
    match std::fs::read_dir(dir) {
        Ok(entries) => entries
            .map(|entry| Ok(entry?.file_name().into_string().ok()))
            .filter_map(Result::transpose)
            .collect(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn remove(path: &Path) -> std::io::Result<()> {
    release::atomic::effect();
    let removed = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}
