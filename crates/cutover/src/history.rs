//! What the commands write into the history, and in which order, so that a kill in between loses nothing.

use release::history::{self, Event, HistoryError, What};
use release::lock::DeployLock;
use release::{App, ReleaseId};

use crate::who::who;

/// Brings the history up to what the link says, under the deploy lock: another tool may have flipped, or a command
/// of ours was killed between the flip and its note. What was live until then counts as good unless it was marked bad.
pub fn catch_up(lock: &DeployLock) -> Result<Vec<Event>, HistoryError> {
    let app = lock.app();
    let events = history::read(app)?;
    let Ok(live) = release::live::read(app) else {
        return Ok(events);
    };
    if history::last_live(&events) == Some(&live.id) {
        return Ok(events);
    }
    if let Some(left) = history::last_live(&events) {
        note_good(app, &events, left)?;
    }
    history::append(app, &Event::now(live.id, What::Live, &who()))?;
    history::read(app)
}

/// Notes a flip that was done: what was left is good unless it was marked bad, and the other is live.
pub fn note_flip(
    app: &App,
    events: &[Event],
    left: Option<&ReleaseId>,
    live: &ReleaseId,
) -> Result<(), HistoryError> {
    match left {
        // It was live already, and since when is known.
        Some(left) if left == live => return Ok(()),
        Some(left) => note_good(app, events, left)?,
        None => {}
    }
    history::append(app, &Event::now(live.clone(), What::Live, &who()))
}

/// Marks a release as bad.
pub fn note_bad(app: &App, id: &ReleaseId) -> Result<(), HistoryError> {
    history::append(app, &Event::now(id.clone(), What::Bad, &who()))
}

fn note_good(app: &App, events: &[Event], id: &ReleaseId) -> Result<(), HistoryError> {
    match history::verdict(events, id) {
        Some(What::Good | What::Bad) => Ok(()),
        Some(What::Live) | None => history::append(app, &Event::now(id.clone(), What::Good, &who())),
    }
}
