//! Drain: takes the host out of its load balancer right before the flip, and puts it back whatever comes of it.
//!
//! That it was begun is noted on disk before the first `drain` hook runs, and until the last `undrain` hook succeeded:
//! so a deploy that fails or is killed puts the host back, and one that never drained it leaves alone what somebody
//! else took out.

use std::path::Path;

use config::host::Moment;
use release::atomic;

use crate::engine::Deploy;
use crate::journal::Journal;
use crate::receipt::Step;
use crate::step::StepError;

/// Runs the `drain` hooks.
pub(crate) fn out(deploy: &Deploy<'_>, journal: &Journal, dir: &Path) -> Result<(), StepError> {
    let hooks = &deploy.config.host.hooks;
    if hooks.at(Moment::Drain).is_empty() && hooks.at(Moment::Undrain).is_empty() {
        return Ok(());
    }
    let release = journal.release().map_or("a release", |id| id.as_str());
    atomic::replace(&deploy.app().drained(), format!("for {release}, by {}\n", deploy.who).as_bytes())?;
    deploy.hooks(journal, Moment::Drain, Step::Flip, dir)?;
    Ok(())
}

/// Runs the `undrain` hooks if the host was drained; what goes wrong is for people, and the next deploy tries again.
pub(crate) fn back(deploy: &Deploy<'_>, journal: &Journal, step: Step, dir: &Path) -> Option<String> {
    let note = deploy.app().drained();
    note.symlink_metadata().ok()?;
    if let Err(error) = deploy.hooks(journal, Moment::Undrain, step, dir) {
        return Some(format!("undrain: {error}\nthe host may still be out of its load balancer"));
    }
    atomic::remove(&note).err().map(|error| error.to_string())
}
