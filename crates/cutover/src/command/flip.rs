//! flip: makes a release live.

use config::Config;
use deploy::adopt::books;
use deploy::follower::Follower;
use deploy::pinnable;
use release::flip::{self, FlipError, Flipped, Target};
use release::history::{self, Event, HistoryError};
use release::manifest::{self, ManifestError};
use release::{App, ReleaseId, slot};
use serde_json::json;

use super::nginx::following;
use crate::answer::{Answer, Exit, Failure};
use crate::args::Lock;
use crate::history::{catch_up, note_flip};
use crate::opened::Opened;
use crate::pools::{fresh_pool, masters};
use crate::when;
use crate::who::who;
use crate::working::{not_frozen, take};

pub fn run(opened: &Opened, id: &ReleaseId, force: bool, lock: Lock) -> Result<Answer, Failure> {
    not_frozen(opened)?;
    let lock = take(opened, lock, "flip")?;
    let events = catch_up(&lock).map_err(|error| history_unusable(opened, &error))?;
    let target = target(opened, id, force)?;
    let masters = masters(opened);
    if let Some(fresh) = fresh_pool(opened, &masters).filter(|fresh| fresh.always) {
        // Without one the server starts it at the flip, and requests wait for that.
        drop((fresh.start)(id));
    }
    let follower = following(opened);
    if let Some(nginx) = &follower {
        nginx.prepare(id).map_err(|why| Failure::failed(why).still(opened.still()))?;
    }
    let flipped = do_flip(opened, &events, target)?;
    if let Some(nginx) = &follower {
        nginx
            .follow()
            .map_err(|why| Failure::failed(why).still(opened.still()).next("cutover nginx --follow"))?;
    }
    Ok(told(&flipped, force))
}

/// The proof that the release is sealed; or, by force, none.
pub fn target(opened: &Opened, id: &ReleaseId, force: bool) -> Result<Target, Failure> {
    let error = match manifest::sealed(&opened.app, id) {
        Ok(sealed) => return Ok(Target::Sealed(sealed)),
        Err(error) => error,
    };
    let refused = |what: String| Failure::refused(what).still(opened.still());
    match error {
        ManifestError::NoRelease { .. } => {
            let failure = Failure::failed(&error).still(opened.still());
            let stored = slot::stored(&opened.app).unwrap_or_default();
            Err(match stored.iter().any(|manifest| manifest.id() == id) {
                true => failure.next(format!("it lost its slot: `cutover rollback {id}` brings it back")),
                false => failure.next("`cutover releases` lists what there is"),
            })
        }
        _ if force => Ok(Target::Forced(id.clone())),
        ManifestError::Unsealed { .. } => {
            Err(refused(format!("{id} is not sealed: nobody has said that it is complete"))
                .next(format!("cutover seal {id}, then flip again; or --force")))
        }
        ManifestError::Torn | ManifestError::Malformed { .. } | ManifestError::OtherTree { .. } => {
            Err(refused(format!("the seal of {id} cannot be relied on: {error}"))
                .next(format!("if it is complete: cutover seal {id} --again")))
        }
        ManifestError::Unreadable { .. } => Err(Failure::failed(&error).still(opened.still())),
    }
}

/// Flips and notes it.
pub fn do_flip(opened: &Opened, events: &[Event], target: Target) -> Result<Flipped, Failure> {
    readable(opened, &target)?;
    let hold = || pinnable::hold(&opened.app, &opened.config, events);
    hold().map_err(|error| Failure::failed(error).still(opened.still()))?;
    let flipped = flip::flip(&opened.app, target).map_err(|error| {
        let exit = match &error {
            FlipError::Locked { .. } | FlipError::NotALink { .. } => Exit::Refused,
            FlipError::NoRelease { .. }
            | FlipError::Replaced { .. }
            | FlipError::Astray { .. }
            | FlipError::Unreadable { .. }
            | FlipError::Unwritten(_)
            | FlipError::NotSynced { .. } => Exit::Failed,
        };
        let next = match &error {
            FlipError::NotALink { link, is } => {
                Some(format!("{} is {is}: move it away, then flip again", link.display()))
            }
            FlipError::Locked { .. } => Some("it is being deleted: flip to another".into()),
            FlipError::Replaced { id } => Some(format!("if it is complete: cutover seal {id} --again")),
            FlipError::NoRelease { .. }
            | FlipError::Astray { .. }
            | FlipError::Unreadable { .. }
            | FlipError::Unwritten(_)
            | FlipError::NotSynced { .. } => None,
        };
        Failure { exit, next, ..Failure::failed(&error).still(opened.still()) }
    })?;
    note_flip(&opened.app, events, flipped.from.as_ref(), &flipped.to).map_err(|error| {
        // Deliberately not undone: visitors have it already, and the next command catches up.
        Failure::failed(format!("the flip is done but could not be noted in the history: {error}"))
            .still(format!("{} is live", flipped.to))
    })?;
    hold().map_err(|error| {
        Failure::failed(format!("the flip is done, but visitors are not pinned to it: {error}"))
            .still(format!("{} is live", flipped.to))
    })?;
    keep_books(opened, events, &flipped)?;
    Ok(flipped)
}

/// Notes the flip where the tool that the app was adopted from would have.
fn keep_books(opened: &Opened, events: &[Event], flipped: &Flipped) -> Result<(), Failure> {
    let to = &flipped.to;
    if flipped.from.as_ref() == Some(to) {
        return Ok(());
    }
    let who = who();
    let who = who.split('@').next().unwrap_or(&who);
    let back = history::when_live(events, to).is_some();
    let flip = books::Flip { to, back, commit: None, branch: None, who };
    books::flipped(&opened.app, &flip).map_err(|error| {
        Failure::failed(format!(
            "the flip is done but could not be noted for the tool that the app was adopted from: {error}"
        ))
        .still(format!("{to} is live"))
    })
}

/// A release whose own cutover.toml is wrong would be served by rules that nobody wrote: better told before the flip.
pub fn readable(opened: &Opened, target: &Target) -> Result<(), Failure> {
    let (id, force) = match target {
        Target::Sealed(sealed) => (sealed.id(), false),
        Target::Forced(id) => (id, true),
    };
    match says(&opened.app, id) {
        Err(error) if !force => Err(Failure::refused(format!("the cutover.toml in {id} is wrong\n{error}"))
            .still(opened.still())
            .next("correct it in a new release; or --force")),
        Err(_) | Ok(()) => Ok(()),
    }
}

fn says(app: &App, id: &ReleaseId) -> Result<(), String> {
    let Some(file) = manifest::find(app, id).map(|dir| dir.join("cutover.toml")) else {
        return Ok(());
    };
    if !file.is_file() {
        return Ok(());
    }
    Config::read(&file).map(|_| ()).map_err(|error| error.to_string())
}

pub fn told(flipped: &Flipped, forced: bool) -> Answer {
    let Flipped { from, to, took } = flipped;
    let aloud = if forced { " (forced)" } else { "" };
    let text = match from {
        Some(from) if from == to => format!("{to} was live already{aloud}"),
        Some(from) => format!("{to} is live{aloud}, {from} was; flipped in {}", when::took(*took)),
        None => format!("{to} is live{aloud}, nothing was before; flipped in {}", when::took(*took)),
    };
    let json = json!({
        "live": to.to_string(),
        "was": from.as_ref().map(ToString::to_string),
        "took_us": u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
        "forced": forced,
    });
    Answer::new(text, json)
}

/// A damaged history must not be written to, and without it nobody can say what is good.
pub fn history_unusable(opened: &Opened, error: &HistoryError) -> Failure {
    Failure::failed(error).still(opened.still())
}
