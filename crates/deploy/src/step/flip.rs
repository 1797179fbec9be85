//! Flip, flip back, undo: what changes which release is live, and what follows when a deploy failed.

use std::sync::atomic::Ordering;
use std::time::Duration;

use config::host::{LinkMode, Moment};
use release::atomic;
use release::flip::{self, FlipError, Flipped, Target};
use release::history::{self, Event};
use release::manifest;
use release::prune::{self, Retired};
use release::{ReleaseId, live};

use super::{StepError, dir_of, release};
use crate::adopt::books;
use crate::drain;
use crate::engine::Deploy;
use crate::journal::Journal;
use crate::note;
use crate::pinnable;
use crate::plan::Aim;
use crate::receipt::{Receipt, Step};
use crate::recover;
use crate::room;
use crate::slot;

pub fn run(deploy: &Deploy<'_>, journal: &Journal) -> Result<Receipt, StepError> {
    let (app, id) = (deploy.app(), release(journal)?);
    let dir = dir_of(app, id)?;
    deploy.hooks(journal, Moment::BeforeFlip, Step::Flip, &dir)?;
    if let Some(follower) = &deploy.follower {
        follower.prepare(id).map_err(StepError::Follower)?;
    }
    drain::out(deploy, journal, &dir)?;
    if deploy.stop.load(Ordering::SeqCst) {
        return Err(StepError::Stopped);
    }
    if journal.plan().is_rollback() {
        start_preloading(deploy, id);
    }
    let events = note::catch_up(deploy.lock, deploy.who).map_err(StepError::History)?;
    let (forced, leaves_bad) = match journal.plan().aim {
        Aim::Deploy { .. } => (false, false),
        Aim::Rollback { forced, leaves_bad, .. } => (forced, leaves_bad),
        Aim::Restore { leaves_bad, .. } => (false, leaves_bad),
    };
    // Before the flip: a kill in between must not let the next command take what is left for good.
    if leaves_bad && let Some(left) = deploy.live().filter(|left| left != id) {
        note::bad(app, &events, &left, deploy.who).map_err(StepError::History)?;
    }
    let events = history::read(app).map_err(StepError::History)?;
    let target = match manifest::sealed(app, id) {
        Ok(sealed) => Target::Sealed(sealed),
        Err(_) if forced => Target::Forced(id.clone()),
        Err(error) => return Err(StepError::Manifest(error)),
    };
    let flipped = put(deploy, journal, Step::Flip, target, &events)?;
    let took_us = u64::try_from(flipped.took.as_micros()).unwrap_or(u64::MAX);
    Ok(Receipt::Flipped { from: flipped.from.filter(|from| from != id), took_us })
}

/// Where each release preloads code, what is gone back to gets its php-fpm before the flip. In haste: without one the
/// server starts it at the flip, and requests wait for that.
fn start_preloading(deploy: &Deploy<'_>, id: &ReleaseId) {
    let wanted = deploy.fresh_pool.as_ref().filter(|fresh| fresh.always && deploy.fresh.get().is_none());
    if let Some(fresh) = wanted {
        match (fresh.start)(id) {
            Ok(pool) => drop(deploy.fresh.set(pool)),
            Err(why) => {
                let text = format!("no php-fpm was started for {id} before the flip: {why}");
                deploy.tell(crate::event::Event::Warning { step: Step::Flip, text });
            }
        }
    }
}

/// Flips and notes it.
fn put(
    deploy: &Deploy<'_>,
    journal: &Journal,
    step: Step,
    target: Target,
    events: &[Event],
) -> Result<Flipped, StepError> {
    let before = deploy.live();
    pinnable::hold(deploy.app(), deploy.config, events)?;
    let flipped = match flip::flip(deploy.app(), target) {
        Ok(flipped) => flipped,
        // It is live all the same; a power cut may undo it, and then the next command sees what the link says.
        Err(FlipError::NotSynced { to, .. }) => Flipped { from: before, to, took: Duration::ZERO },
        Err(error) => return Err(StepError::Flip(error)),
    };
    note::flip(deploy.app(), events, flipped.from.as_ref(), &flipped.to, deploy.who)
        .map_err(StepError::History)?;
    keep_books(deploy, journal, step, &flipped, events);
    if let Err(error) = pinnable::hold(deploy.app(), deploy.config, events) {
        let text = format!("visitors are not pinned to {}: {error}", flipped.to);
        deploy.tell(crate::event::Event::Warning { step, text });
    }
    Ok(flipped)
}

/// Notes it where the tool that the app was adopted from would have; a failure is no reason to flip back.
fn keep_books(deploy: &Deploy<'_>, journal: &Journal, step: Step, flipped: &Flipped, events: &[Event]) {
    let to = &flipped.to;
    if flipped.from.as_ref() == Some(to) {
        return;
    }
    let back = history::when_live(events, to).is_some();
    // The journal's revision is that of the release it is about; of what is gone back to, its own files tell.
    let revision = Some(journal.revision()).filter(|_| !back).unwrap_or_default();
    let (commit, branch) = (revision.commit.as_deref(), revision.branch.as_deref());
    let who = deploy.who.split('@').next().unwrap_or(deploy.who);
    if let Err(error) = books::flipped(deploy.app(), &books::Flip { to, back, commit, branch, who }) {
        let text = format!("not noted for the tool that the app was adopted from: {error}");
        deploy.tell(crate::event::Event::Warning { step, text });
    }
}

/// Takes away what a deploy that failed before its flip has made. The old release was live all along.
pub fn undo(deploy: &Deploy<'_>, journal: &Journal) -> Result<Receipt, StepError> {
    let mut problems = Vec::new();
    problems.extend(drain::back(deploy, journal, Step::Undo, deploy.app().root()));
    let made = match journal.plan().aim {
        Aim::Deploy { .. } => journal.release().filter(|id| Some(*id) != deploy.live().as_ref()),
        // What was brought back and sealed may stay in its slot.
        Aim::Restore { .. } => journal.release().filter(|id| manifest::sealed(deploy.app(), id).is_err()),
        Aim::Rollback { .. } => None,
    };
    if let Err(error) = slot::stage::clear_next(deploy.app()) {
        problems.push(format!("what was staged beside the slots could not be deleted: {error}"));
    }
    if let Some(id) = made
        && release::slot::of(deploy.app(), id).is_some()
    {
        problems.extend(leave_slot(deploy, journal, id));
    } else if let Some(id) = made
        && deploy.app().release(id).symlink_metadata().is_ok()
    {
        match prune::retire_under(deploy.lock, id) {
            Ok(gone) => {
                if !set_aside(deploy, journal, &gone)
                    && let Err(error) = gone.delete()
                {
                    problems.push(format!("{id} is in the trash but could not be deleted: {error}"));
                }
            }
            Err(error) => problems.push(format!("{id} could not be taken away: {error}")),
        }
    }
    room::give_back(deploy);
    Ok(Receipt::Undone { problems })
}

/// Keeps the tree of a deploy that was killed while it was copied: the next one need not copy it again.
fn set_aside(deploy: &Deploy<'_>, journal: &Journal, gone: &Retired) -> bool {
    let killed = journal
        .failure()
        .is_some_and(|(step, why)| matches!(step, Step::Stage | Step::Seal) && why == recover::KILLED);
    let shares = deploy.config.host.app.link_mode != LinkMode::Copy;
    killed && shares && atomic::move_to(&gone.trash, &deploy.app().half()).is_ok()
}

/// Takes the name away that a failed release has in a slot. The slot keeps its files: the next release that takes it
/// finds there what it can use.
fn leave_slot(deploy: &Deploy<'_>, journal: &Journal, id: &ReleaseId) -> Option<String> {
    let failed = |why: String| Some(format!("{id} could not be taken out of its slot: {why}"));
    if let Err(error) = release::slot::take_name(deploy.lock, id) {
        return failed(error.to_string());
    }
    // Of an older release the manifest is all that says what it consists of.
    if journal.plan().is_rollback() {
        return None;
    }
    release::atomic::remove(&deploy.app().manifest(id)).err().and_then(|error| failed(error.to_string()))
}

/// Makes live again what the flip left, and marks what failed as bad.
pub fn back(deploy: &Deploy<'_>, journal: &Journal) -> Result<Receipt, StepError> {
    let (app, id) = (deploy.app(), release(journal)?);
    let to = journal.left().ok_or(StepError::Missing("what was live before"))?;
    let mut problems = Vec::new();
    let events = history::read(app).map_err(StepError::History)?;
    note::bad(app, &events, id, deploy.who).map_err(StepError::History)?;
    let back = match live::read(app) {
        // Another tool or person decided otherwise meanwhile: that stays.
        Ok(live) if live.id != *id && live.id != *to => None,
        Ok(_) | Err(_) => Some(flip_back(deploy, journal, to)?),
    };
    // Also where somebody else decided: what is live is what the web server has to serve.
    if let Some(Err(why)) = deploy.follower.as_ref().map(|follower| follower.follow()) {
        problems.push(why);
    }
    let dir = dir_of(app, to)?;
    problems.extend(drain::back(deploy, journal, Step::FlipBack, &dir));
    if back.is_some()
        && let Err(error) = deploy.hooks(journal, Moment::OnRollback, Step::FlipBack, &dir)
    {
        problems.push(format!("on_rollback: {error}"));
    }
    Ok(Receipt::FlippedBack { to: back, problems })
}

fn flip_back(deploy: &Deploy<'_>, journal: &Journal, to: &ReleaseId) -> Result<ReleaseId, StepError> {
    // Refused or not: what failed must not stay live. What it says is said again when it is told.
    drop(deploy.follower.as_ref().map(|follower| follower.prepare(to)));
    let events = history::read(deploy.app()).map_err(StepError::History)?;
    let target = match manifest::sealed(deploy.app(), to) {
        Ok(sealed) => Target::Sealed(sealed),
        // It was live a moment ago, so it is better than what failed.
        Err(_) => Target::Forced(to.clone()),
    };
    put(deploy, journal, Step::FlipBack, target, &events).map(|flipped| flipped.to)
}
