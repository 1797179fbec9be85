//! Verify and settle: the live site is asked; then comes what has to follow a flip.

use std::path::Path;

use config::host::Moment;
use release::history;

use super::{StepError, dir_of, release, says};
use crate::drain;
use crate::engine::Deploy;
use crate::health::{self, Subject};
use crate::journal::Journal;
use crate::note;
use crate::receipt::{Receipt, Step};

pub fn run(deploy: &Deploy<'_>, journal: &Journal) -> Result<Receipt, StepError> {
    let (app, id) = (deploy.app(), release(journal)?);
    // Not noted as bad if that fails: nobody has seen the release yet.
    deploy.follower.as_ref().map_or(Ok(()), |follower| follower.follow()).map_err(StepError::Follower)?;
    // Flipped on by somebody else meanwhile: what is live now is not ours to judge.
    if deploy.live().as_ref() != Some(id) {
        return Ok(Receipt::Verified { asked: None });
    }
    let checked = check(deploy, journal, &dir_of(app, id)?);
    let events = history::read(app).map_err(StepError::History)?;
    match checked {
        Ok(asked) => {
            if !journal.plan().is_rollback() {
                note::good(app, &events, id, deploy.who).map_err(StepError::History)?;
            }
            Ok(Receipt::Verified { asked })
        }
        Err(error) => {
            note::bad(app, &events, id, deploy.who).map_err(StepError::History)?;
            Err(error)
        }
    }
}

/// Asks the live site; says what was asked.
fn check(deploy: &Deploy<'_>, journal: &Journal, dir: &Path) -> Result<Option<String>, StepError> {
    deploy.hooks(journal, Moment::BeforeVerify, Step::Verify, dir)?;
    let asked = match &deploy.config.host.health {
        Some(health) => {
            let (says, id) = (says(deploy, dir)?, release(journal)?);
            Some(health::live(&Subject { deploy, says: &says, id, dir }, health)?)
        }
        None => None,
    };
    deploy.hooks(journal, Moment::AfterVerify, Step::Verify, dir)?;
    Ok(asked)
}

/// Queue restarts and the like. What fails is reported: visitors have the release, and it is healthy.
pub fn settle(deploy: &Deploy<'_>, journal: &Journal) -> Result<Receipt, StepError> {
    let dir = dir_of(deploy.app(), release(journal)?)?;
    let mut problems = Vec::new();
    problems.extend(drain::back(deploy, journal, Step::Settle, &dir));
    let mut moments = vec![Moment::AfterFlip];
    if journal.plan().is_rollback() {
        moments.push(Moment::OnRollback);
    }
    for moment in moments {
        if let Err(error) = deploy.hooks(journal, moment, Step::Settle, &dir) {
            problems.push(format!("{}: {error}", moment.key()));
        }
    }
    Ok(Receipt::Settled { problems })
}
