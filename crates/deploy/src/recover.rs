//! Recover: the deploy that a killed command left in hand is finished, or undone.
//!
//! Before the flip it is undone: visitors never saw it, and to deploy again costs little. After the flip it is
//! finished: verified, settled, pruned; or flipped back if it is found ill.

use release::history::HistoryError;

use crate::engine::{self, Deploy, EngineError, Outcome};
use crate::event::Event;
use crate::journal::{Journal, Said};
use crate::note;
use crate::phase::{self, Next};
use crate::receipt::{Receipt, Step};
use crate::room;
use crate::running::{self, Running, StillRuns};

/// Why what was left could not be finished or undone.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// The journal cannot be relied on, or the engine stopped.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A command of the killed deploy runs still.
    #[error(transparent)]
    StillRuns(#[from] StillRuns),
    /// The history could not be brought up to the link.
    #[error("{0}")]
    History(HistoryError),
}

pub(crate) const KILLED: &str = "the command that did this was killed";

/// Finishes or undoes what is in hand; `None`: nothing was.
pub fn recover(deploy: &Deploy<'_>) -> Result<Option<Outcome>, RecoverError> {
    // Before all else: nothing may run beside it.
    if let Some(Running { command, group, .. }) = running::end_left(deploy.app())? {
        let text = format!(
            "`{}` of the deploy that was killed still ran (process group {group}), and was ended",
            deploy.masked(&command)
        );
        deploy.tell(Event::Warning { step: Step::Undo, text });
    }
    let Some(mut journal) = Journal::in_hand(deploy.lock).map_err(EngineError::from)? else {
        return Ok(None);
    };
    // The flip may have been done and not noted.
    note::catch_up(deploy.lock, deploy.who).map_err(RecoverError::History)?;
    let how = settle(deploy, &mut journal)?;
    let release = journal.release().map(ToString::to_string);
    deploy.tell(Event::Recovers { release, how: how.into() });
    Ok(Some(engine::run(deploy, journal)?))
}

/// Writes down what became of the step that was in hand; says what follows from it.
fn settle(deploy: &Deploy<'_>, journal: &mut Journal) -> Result<&'static str, EngineError> {
    let Next::Run(step) = phase::next(journal.plan(), journal.entries())? else {
        return Ok("it was done but for the last line of its journal");
    };
    let begun = matches!(journal.entries().last().map(|entry| &entry.said), Some(Said::Started(_)));
    match step {
        Step::Build | Step::Stage | Step::Seal | Step::Warm => {
            if !begun {
                room::or_make(deploy, journal, |journal| journal.started(step))?;
            }
            room::or_make(deploy, journal, |journal| journal.failed(step, KILLED.into()))?;
            Ok("it was killed before the flip, and is undone")
        }
        Step::Flip => {
            if !begun {
                room::or_make(deploy, journal, |journal| journal.started(step))?;
            }
            if begun && journal.release().is_some() && journal.release() == deploy.live().as_ref() {
                let from = journal.plan().previous.clone().filter(|id| Some(id) != journal.release());
                journal.done(Receipt::Flipped { from, took_us: 0 })?;
                return Ok("it was killed right after the flip, and is finished");
            }
            room::or_make(deploy, journal, |journal| journal.failed(step, KILLED.into()))?;
            Ok("it was killed before the flip, and is undone")
        }
        Step::Verify | Step::Settle | Step::Prune => Ok("it was killed after the flip, and is finished"),
        Step::Undo | Step::FlipBack => Ok("it was being undone, and that is finished"),
    }
}
