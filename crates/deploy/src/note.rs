//! Note: what is written into the history, and in which order, so that a kill in between loses nothing.

use release::history::{self, Event, HistoryError, What};
use release::lock::DeployLock;
use release::{App, ReleaseId};

/// Brings the history up to what the link says, under the deploy lock: another tool may have flipped, or a command
/// of ours was killed between the flip and its note. What was live until then counts as good unless it was marked bad.
pub fn catch_up(lock: &DeployLock, who: &str) -> Result<Vec<Event>, HistoryError> {
    let app = lock.app();
    let events = history::read(app)?;
    let Ok(live) = release::live::read(app) else {
        return Ok(events);
    };
    if history::last_live(&events) == Some(&live.id) {
        return Ok(events);
    }
    if let Some(left) = history::last_live(&events) {
        good(app, &events, left, who)?;
    }
    history::append(app, &Event::now(live.id, What::Live, who))?;
    history::read(app)
}

/// Notes a flip that was done: what was left is good unless it was marked bad, and the other is live.
pub fn flip(
    app: &App,
    events: &[Event],
    left: Option<&ReleaseId>,
    live: &ReleaseId,
    who: &str,
) -> Result<(), HistoryError> {
    match left {
        // It was live already, and since when is known.
        Some(left) if left == live => return Ok(()),
        Some(left) => good(app, events, left, who)?,
        None => {}
    }
    history::append(app, &Event::now(live.clone(), What::Live, who))
}

/// Marks a release as bad, unless that is the last word on it.
pub fn bad(app: &App, events: &[Event], id: &ReleaseId, who: &str) -> Result<(), HistoryError> {
    match history::verdict(events, id) {
        Some(What::Bad) => Ok(()),
        Some(What::Good | What::Live) | None => history::append(app, &Event::now(id.clone(), What::Bad, who)),
    }
}

/// Marks a release as good unless something was said of it already.
pub fn good(app: &App, events: &[Event], id: &ReleaseId, who: &str) -> Result<(), HistoryError> {
    match history::verdict(events, id) {
        Some(What::Good | What::Bad) => Ok(()),
        Some(What::Live) | None => history::append(app, &Event::now(id.clone(), What::Good, who)),
    }
}
