//! rollback: flips back to a release that was sealed and was good.

use std::time::Duration;

use config::host::Layout;
use deploy::engine::Outcome;
use deploy::event::Event;
use deploy::freeze;
use deploy::journal::Ending;
use deploy::plan::Aim;
use release::ReleaseId;
use release::flip::Flipped;
use release::history::{self, What};
use release::{manifest, slot};

use super::deploy::go;
use super::flip::{history_unusable, readable, target, told};
use crate::answer::{Answer, Failure};
use crate::args::Lock;
use crate::history::catch_up;
use crate::opened::Opened;
use crate::show::Show;
use crate::who::who;
use crate::working::{self, deploying, take};

pub fn run(
    opened: &Opened,
    release: Option<ReleaseId>,
    force: bool,
    keep_good: bool,
    lock: Lock,
    json: bool,
) -> Result<Answer, Failure> {
    let lock = take(opened, lock, "rollback")?;
    let events = catch_up(&lock).map_err(|error| history_unusable(opened, &error))?;
    let live = opened.live().map_err(|error| {
        Failure::failed(&error).still(opened.still()).next("`cutover flip RELEASE` makes one live")
    })?;
    let to = match release {
        Some(id) => was_good(opened, &events, id, force)?,
        None => last_good(opened, &events, &live.id)?,
    };
    let restores = stored(opened, &to)?;
    if !restores {
        readable(opened, &target(opened, &to, force)?)?;
    }
    if to == live.id {
        return Err(Failure::refused(format!("{to} is live already")).next("name an earlier release"));
    }
    // In haste: only what its hooks say, and what goes wrong.
    let show = (!json).then(|| Show::new(false));
    let mut watch = |event: &Event| match (event, &show) {
        (Event::Done { .. }, _) | (_, None) => {}
        (event, Some(show)) => show.event(event),
    };
    let who = who();
    let deploy = deploying(opened, &lock, &who, &mut watch);
    let aim = match restores {
        true => Aim::Restore { to: to.clone(), leaves_bad: !keep_good },
        false => Aim::Rollback { to: to.clone(), forced: force, leaves_bad: !keep_good },
    };
    let outcome = go(opened, &deploy, aim)?;
    drop(deploy);
    drop(show);
    let mut answer = ended(opened, &outcome, &to, force)?;
    // A Freeze is for what is new. Whoever goes back under one has a reason, and is told that it holds on.
    if let Ok(Some(frozen)) = freeze::frozen(&opened.app) {
        answer.text += &format!("\nthe app stays frozen: {}", working::told(&frozen));
    }
    Ok(answer)
}

/// Whether the release lost its slot to another, so that it is brought back from the store first. Refused where
/// releases do not take turns any more.
fn stored(opened: &Opened, id: &ReleaseId) -> Result<bool, Failure> {
    let lost = is_stored(opened, id);
    if lost && opened.config.host.app.layout == Layout::Releases {
        return Err(Failure::refused(format!("{id} has no directory: it lost its slot to another release"))
            .still(opened.still())
            .next("set app.layout = \"slots\" to bring it back; or deploy its commit again"));
    }
    Ok(lost)
}

fn is_stored(opened: &Opened, id: &ReleaseId) -> bool {
    slot::stored(&opened.app).is_ok_and(|stored| stored.iter().any(|manifest| manifest.id() == id))
}

/// What the rollback came to.
fn ended(opened: &Opened, outcome: &Outcome, to: &ReleaseId, force: bool) -> Result<Answer, Failure> {
    let failed = |what: &str| match &outcome.failure {
        Some((step, why)) if outcome.refused => Failure::refused(format!("{what} at {step}: {why}")),
        Some((step, why)) => Failure::failed(format!("{what} at {step}: {why}")),
        None => Failure::failed(what),
    };
    match outcome.ending {
        Ending::Live => {}
        Ending::Unhealthy => {
            let next = "`cutover releases` lists what else there is; or deploy again";
            return Err(failed("the rollback failed").still(format!("{to} is live")).next(next));
        }
        Ending::Undone | Ending::FlippedBack | Ending::Unchanged => {
            return Err(failed("the rollback failed").still(opened.still()));
        }
    }
    if let Some(first) = outcome.problems.first() {
        return Err(Failure::failed(first).still(format!("{to} is live")));
    }
    let took = Duration::from_micros(outcome.flip_us.unwrap_or(0));
    Ok(told(&Flipped { from: outcome.left.clone(), to: to.clone(), took }, force))
}

/// The release to go back to by itself.
fn last_good(opened: &Opened, events: &[history::Event], live: &ReleaseId) -> Result<ReleaseId, Failure> {
    let good = history::good_before(events, live);
    let sealed = good.iter().find(|id| manifest::sealed(&opened.app, id).is_ok() || is_stored(opened, id));
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
fn was_good(
    opened: &Opened,
    events: &[history::Event],
    id: ReleaseId,
    force: bool,
) -> Result<ReleaseId, Failure> {
    // A release that is not there is told so, whatever else is true of it.
    let known = manifest::find(&opened.app, &id).is_some() || is_stored(opened, &id);
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
