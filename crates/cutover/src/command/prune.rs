//! prune: deletes releases that are neither needed nor in use.

use std::time::{Duration, SystemTime};

use release::ReleaseId;
use release::history;
use release::list::{Listed, Seal};
use release::prune::{self, RetireError};
use serde_json::{Value, json};

use super::flip::{history_unusable, take};
use super::releases::all;
use crate::answer::{Answer, Failure};
use crate::args::Lock;
use crate::busy::busy;
use crate::history::catch_up;
use crate::opened::Opened;
use crate::when;

/// Why a release stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stays {
    Live,
    Rollback,
    Recent,
    Kept,
    /// Never sealed, never live: perhaps somebody is copying it here at this moment.
    Unfinished,
}

pub fn run(opened: &Opened, keep: Option<u32>, dry_run: bool, lock: Lock) -> Result<Answer, Failure> {
    let keys = &opened.config.host.app;
    let lock = take(opened, lock)?;
    let events = catch_up(&lock).map_err(|error| history_unusable(opened, &error))?;
    // With a broken link nobody can say what is live.
    let live = opened.live().map_err(|error| {
        Failure::refused(format!("nothing was deleted: {error}"))
            .next("`cutover flip RELEASE` makes one live")
    })?;
    let listed = all(opened, &events)?;
    let back = history::last_good_before(&events, &live.id);
    let chosen = choose(&listed, back.as_ref(), keep.unwrap_or(keys.keep), keys.keep_for, SystemTime::now());

    let mut lines = Vec::new();
    let mut rows = Vec::new();
    let mut failed = None;
    let mut retired = Vec::new();
    for (release, stays) in &chosen {
        let (text, why) = match stays {
            Some(stays) => (format!("{}  stays: {}", release.id, told(*stays, keys.keep_for)), "stays"),
            None if dry_run => (format!("{}  would be deleted", release.id), "would be deleted"),
            None => match prune::retire_under(&lock, &release.id) {
                Ok(gone) => {
                    retired.push(gone);
                    (format!("{}  deleted", release.id), "deleted")
                }
                Err(error @ (RetireError::InUse { .. } | RetireError::Live { .. })) => {
                    (format!("{}  stays: {error}", release.id), "in use")
                }
                Err(error) => {
                    let text = format!("{}  stays: {error}", release.id);
                    failed = failed.or(Some(error));
                    (text, "failed")
                }
            },
        };
        lines.push(text);
        rows.push(json!({ "id": release.id.to_string(), "result": why, "because": stays.map(|s| told(s, keys.keep_for)) }));
    }
    let busy = busy("deleting");
    // Only now the slow part: whoever looks into releases/ never sees one half deleted.
    for gone in retired {
        let id = gone.id.clone();
        if let Err(error) = gone.delete() {
            return Err(Failure::failed(format!("{id} is in the trash but could not be deleted: {error}"))
                .still(opened.still())
                .next("the next `cutover prune` tries again"));
        }
    }
    if !dry_run {
        prune::empty_trash(&lock).map_err(|error| {
            Failure::failed(format!("the trash could not be emptied: {error}")).still(opened.still())
        })?;
    }
    drop(busy);
    if let Some(error) = failed {
        return Err(Failure::failed(error).still(opened.still()));
    }
    Ok(Answer::new(
        lines.join("\n"),
        Value::from_iter([("releases", Value::from(rows)), ("dry_run", dry_run.into())]),
    ))
}

/// Decides, without looking at the disk: for each release why it stays, or `None`.
///
/// The `keep` newest stay besides the live one. Newest: left last, or, if never live, listed as if left now; so what
/// was staged and sealed but not flipped yet counts as newest. Bad releases count like any other: somebody may want
/// to look at them; but they never push out the one to roll back to.
fn choose<'l>(
    listed: &'l [Listed],
    back: Option<&ReleaseId>,
    keep: u32,
    keep_for: Duration,
    now: SystemTime,
) -> Vec<(&'l Listed, Option<Stays>)> {
    let left = |release: &Listed| release.left.or(release.live_since).unwrap_or(now);
    let mut order: Vec<&Listed> = listed.iter().collect();
    order.sort_by(|one, two| (left(two), &two.id).cmp(&(left(one), &one.id)));
    let mut room = keep;
    let decide = |release: &'l Listed| {
        let young = now.duration_since(left(release)).map_or(true, |age| age < keep_for);
        let stays = match () {
            () if release.live => return (release, Some(Stays::Live)),
            () if release.live_since.is_none() && !matches!(release.seal, Seal::Whole { .. }) => {
                return (release, Some(Stays::Unfinished));
            }
            () if back == Some(&release.id) => Some(Stays::Rollback),
            () if release.live_since.is_some() && young => Some(Stays::Recent),
            () if room > 0 => Some(Stays::Kept),
            () => None,
        };
        room = room.saturating_sub(u32::from(stays.is_some()));
        (release, stays)
    };
    order.into_iter().map(decide).collect()
}

fn told(stays: Stays, keep_for: Duration) -> String {
    match stays {
        Stays::Live => "it is live".into(),
        Stays::Rollback => "rollback would go to it".into(),
        Stays::Recent => format!("it was live within {}", when::length(keep_for)),
        Stays::Kept => "it is one of those to keep".into(),
        Stays::Unfinished => "it was never sealed: it may be in the making".into(),
    }
}
