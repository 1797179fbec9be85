//! What the commands write into the history, in the name of whoever runs them.

use deploy::note;
use release::history::{Event, HistoryError};
use release::lock::DeployLock;
use release::{App, ReleaseId};

use crate::who::who;

/// Brings the history up to what the link says (see [`note::catch_up`]).
pub fn catch_up(lock: &DeployLock) -> Result<Vec<Event>, HistoryError> {
    note::catch_up(lock, &who())
}

/// Notes a flip that was done (see [`note::flip`]).
pub fn note_flip(
    app: &App,
    events: &[Event],
    left: Option<&ReleaseId>,
    live: &ReleaseId,
) -> Result<(), HistoryError> {
    note::flip(app, events, left, live, &who())
}
