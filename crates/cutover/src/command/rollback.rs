//! rollback: flips back to a release that was sealed and was good.

use release::ReleaseId;
use release::history::{self, Event, What};
use release::manifest;

use super::flip::{do_flip, history_unusable, take, target, told};
use crate::answer::{Answer, Failure};
use crate::args::Lock;
use crate::history::{catch_up, note_bad};
use crate::opened::Opened;

pub fn run(
    opened: &Opened,
    release: Option<ReleaseId>,
    force: bool,
    keep_good: bool,
    lock: Lock,
) -> Result<Answer, Failure> {
    let lock = take(opened, lock)?;
    let events = catch_up(&lock).map_err(|error| history_unusable(opened, &error))?;
    let live = opened.live().map_err(|error| {
        Failure::failed(&error).still(opened.still()).next("`cutover flip RELEASE` makes one live")
    })?;
    let to = match release {
        Some(id) => was_good(opened, &events, id, force)?,
        None => last_good(opened, &events, &live.id)?,
    };
    let target = target(opened, &to, force)?;
    if to == live.id {
        return Err(Failure::refused(format!("{to} is live already")).next("name an earlier release"));
    }
    // Before the flip: a kill in between must not let the next command take what is left for good.
    if !keep_good {
        note_bad(&opened.app, &live.id).map_err(|error| history_unusable(opened, &error))?;
    }
    let events = history::read(&opened.app).map_err(|error| history_unusable(opened, &error))?;
    let flipped = do_flip(opened, &events, target)?;
    Ok(told(&flipped, force))
}

/// The release to go back to by itself.
fn last_good(opened: &Opened, events: &[Event], live: &ReleaseId) -> Result<ReleaseId, Failure> {
    let good = history::good_before(events, live);
    let sealed = good.iter().find(|id| manifest::sealed(&opened.app, id).is_ok());
    sealed.cloned().ok_or_else(|| {
        let standing: Vec<&ReleaseId> = good.iter().filter(|id| manifest::find(&opened.app, id).is_some()).collect();
        let failure = match standing.first() {
            Some(id) => Failure::refused(format!("the last good release before {live}, {id}, is not sealed"))
                .next(format!("if it is complete: cutover seal {id}, then cutover rollback; or cutover rollback {id} --force")),
            None => Failure::refused(format!("there is no good release before {live}"))
                .next("name one: cutover rollback RELEASE --force"),
        };
        failure.still(opened.still())
    })
}

/// The named release, if it was good or force says so.
fn was_good(opened: &Opened, events: &[Event], id: ReleaseId, force: bool) -> Result<ReleaseId, Failure> {
    // A release that is not there is told so, whatever else is true of it.
    let known = manifest::find(&opened.app, &id).is_some();
    let why = match history::verdict(events, &id) {
        _ if force || !known => return Ok(id),
        Some(What::Good) => return Ok(id),
        Some(What::Bad) => "is marked bad",
        Some(What::Live) | None => "was never live and good",
    };
    Err(Failure::refused(format!("{id} {why}"))
        .still(opened.still())
        .next("`cutover releases` lists the good ones; or --force"))
}
