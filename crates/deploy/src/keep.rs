//! Keep: which releases stay and which go.
//!
//! Never gone: what is live, what a rollback would go to, what was live of late, what anybody uses. Besides those so
//! many good ones stay as is configured; failed ones are counted apart, so that they never push out a good one.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use release::history::{self, What};
use release::list::{self, Listed, Seal, Stands};
use release::live::LiveError;
use release::lock::DeployLock;
use release::prune::{self, RetireError};
use release::{ReleaseId, live};

use crate::pack;
use crate::papers;
use crate::slot;
use crate::store;
use crate::used::{self, Workers};

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Good releases beside the live one and the one that a rollback would go to.
    pub keep: u32,
    /// A release stays at least so long after it was live.
    pub keep_for: Duration,
    /// In slot mode: what stands in a slot stays, for it takes no room that the next release would not take.
    pub slots: bool,
}

/// Why a release stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stays {
    /// It is live.
    Live,
    /// A rollback would go to it.
    Rollback,
    /// It stands in a slot, until another takes its turn there.
    Slot,
    /// It was live of late.
    Recent,
    /// It is one of those to keep.
    Kept,
    /// It failed, and is one of the last that did: somebody may want to look.
    Failed,
    /// Never sealed, never live: perhaps somebody is copying it here at this moment.
    Unfinished,
}

/// What a prune did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// What is gone.
    pub gone: Vec<ReleaseId>,
    /// What stays though it could go: it is in use, and by whom.
    pub used: Vec<(ReleaseId, String)>,
    /// What could not be deleted, and why: a warning, for what is left harms nobody.
    pub problems: Vec<String>,
}

/// Why nothing was pruned.
#[derive(Debug, thiserror::Error)]
pub enum PruneError {
    /// With a broken link nobody can say what is live.
    #[error("nothing was deleted: {0}")]
    Unsure(LiveError),
    /// The history cannot be relied on.
    #[error("nothing was deleted: {0}")]
    History(history::HistoryError),
    /// The releases could not be listed.
    #[error("cannot list {}: {source}", path.display())]
    List {
        /// Where they are.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// Failed releases that stay: the last ones.
const FAILED: u32 = 2;

/// For each release why it stays, or `None`.
pub type Choice = Vec<(Listed, Option<Stays>)>;

/// Looks at every release and decides.
pub fn look(lock: &DeployLock, rule: Rule) -> Result<Choice, PruneError> {
    let app = lock.app();
    let live = live::read(app).map_err(PruneError::Unsure)?;
    let events = history::read(app).map_err(PruneError::History)?;
    let listed =
        list::releases(app, &events).map_err(|source| PruneError::List { path: app.releases(), source })?;
    let back = history::last_good_before(&events, &live.id);
    Ok(choose(listed, back.as_ref(), rule, SystemTime::now()))
}

/// What a prune would take away if another release were made live now.
pub fn after_next(lock: &DeployLock, rule: Rule) -> Result<Vec<ReleaseId>, PruneError> {
    let app = lock.app();
    let live = live::read(app).map_err(PruneError::Unsure)?;
    let events = history::read(app).map_err(PruneError::History)?;
    let mut listed =
        list::releases(app, &events).map_err(|source| PruneError::List { path: app.releases(), source })?;
    for release in &mut listed {
        release.live = false;
    }
    let chosen = choose(listed, Some(&live.id), rule, SystemTime::now());
    Ok(chosen.into_iter().filter(|(_, stays)| stays.is_none()).map(|(listed, _)| listed.id).collect())
}

/// Takes away what may go.
pub fn prune(lock: &DeployLock, rule: Rule, workers: &[Workers]) -> Result<Pruned, PruneError> {
    let app = lock.app();
    let chosen = look(lock, rule)?;
    let mut pruned = Pruned::default();
    let mut retired = Vec::new();
    let candidates: Vec<&Listed> =
        chosen.iter().filter(|(_, stays)| stays.is_none()).map(|(listed, _)| listed).collect();
    if !candidates.is_empty() {
        let (busy, problems) = busy(lock, workers);
        pruned.problems.extend(problems);
        for Listed { id, stands, .. } in candidates {
            if let Some((_, by)) = busy.iter().find(|(used, _)| used == id) {
                pruned.used.push((id.clone(), by.clone()));
                continue;
            }
            let gone = match stands {
                Stands::Own => prune::retire_under(lock, id).map(Some),
                Stands::Slot(slot) => {
                    if let Err(why) = slot::note_all(app, slot) {
                        pruned.problems.push(why);
                        continue;
                    }
                    prune::retire_under(lock, id).map(Some)
                }
                Stands::Store => prune::forget(lock, id).map(|()| None),
            };
            match gone {
                Ok(Some(gone)) => retired.push(gone),
                Ok(None) => pruned.gone.push(id.clone()),
                Err(RetireError::InUse { .. }) => pruned.used.push((id.clone(), "a lease".into())),
                Err(RetireError::Live { .. }) => pruned.used.push((id.clone(), "the link".into())),
                Err(error) => pruned.problems.push(error.to_string()),
            }
        }
    }
    // Only now the slow part: whoever looks into releases/ never sees one half deleted.
    for gone in retired {
        let id = gone.id.clone();
        match gone.delete() {
            Ok(()) => {}
            // Files of other users, say. It is out of releases/, and the next prune tries again.
            Err(error) => {
                pruned.problems.push(format!("{id} is in the trash but could not be deleted: {error}"));
            }
        }
        pruned.gone.push(id);
    }
    // Whoever prunes wants room; the next deploy copies it again.
    std::fs::remove_dir_all(lock.app().half()).unwrap_or(());
    if let Err(error) = prune::empty_trash(lock) {
        pruned.problems.push(format!("the trash could not be emptied: {error}"));
    }
    if let Err(error) = papers::sweep(lock) {
        pruned
            .problems
            .push(format!("records and logs of releases that are gone could not be deleted: {error}"));
    }
    // Last, since a blob is not needed when no release has it as a file any more.
    if !pruned.gone.is_empty()
        && let Err(error) = store::sweep(lock).and_then(|_| pack::sweep(lock.app()))
    {
        pruned.problems.push(format!("the store could not be swept: {error}"));
    }
    Ok(pruned)
}

/// Who uses which release without a lease; and what could not be asked.
fn busy(lock: &DeployLock, workers: &[Workers]) -> (Vec<(ReleaseId, String)>, Vec<String>) {
    let app = lock.app();
    let (mut busy, mut problems) = below(&app.releases(), workers);
    // Who works in a slot works in the release whose turn it is.
    let slots = release::slot::all(app).unwrap_or_default();
    if !slots.is_empty() {
        let (users, silent) = below(&app.slots(), workers);
        for slot in &slots {
            let ids = release::slot::named(app, slot).unwrap_or_default();
            let by = users.iter().find(|(name, _)| name.as_str() == slot.as_str());
            busy.extend(by.iter().flat_map(|(_, by)| ids.iter().map(|id| (id.clone(), by.clone()))));
        }
        problems = silent;
    }
    (busy, problems)
}

/// Who uses which of the directories in `dir`.
fn below(dir: &Path, workers: &[Workers]) -> (Vec<(ReleaseId, String)>, Vec<String>) {
    #[allow(clippy::disallowed_methods, reason = "it lies above the releases: no flip changes where it is")]
    let dir = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
    let mut busy: Vec<(ReleaseId, String)> = used::by_process(&dir).into_iter().collect();
    let mut problems = Vec::new();
    for workers in workers {
        match used::by_worker(&dir, workers) {
            Ok(found) => busy.extend(found),
            Err(why) => problems.push(format!("what PHP workers run could not be asked: {why}")),
        }
    }
    (busy, problems)
}

/// Decides, without looking at the disk.
///
/// The newest stay. Newest: left last, or, if never live, listed as if left now; so what was staged and sealed but
/// not flipped yet counts as newest.
fn choose(listed: Vec<Listed>, back: Option<&ReleaseId>, rule: Rule, now: SystemTime) -> Choice {
    let left = |release: &Listed| release.left.or(release.live_since).unwrap_or(now);
    let mut order = listed;
    order.sort_by(|one, two| (left(two), &two.id).cmp(&(left(one), &one.id)));
    let (mut room, mut failed_room) = (rule.keep, FAILED.min(rule.keep));
    let mut decide = |release: Listed| {
        let young = now.duration_since(left(&release)).map_or(true, |age| age < rule.keep_for);
        let unfinished = release.live_since.is_none() && !matches!(release.seal, Seal::Whole { .. });
        let failed = release.verdict == Some(What::Bad);
        let room = if failed { &mut failed_room } else { &mut room };
        let stays = match () {
            () if release.live => Some(Stays::Live),
            () if unfinished => Some(Stays::Unfinished),
            () if back == Some(&release.id) => Some(Stays::Rollback),
            () if rule.slots && matches!(release.stands, Stands::Slot(_)) => Some(Stays::Slot),
            () if *room > 0 => {
                *room -= 1;
                Some(if failed { Stays::Failed } else { Stays::Kept })
            }
            () if release.live_since.is_some() && young => Some(Stays::Recent),
            () => None,
        };
        (release, stays)
    };
    order.into_iter().map(&mut decide).collect()
}
