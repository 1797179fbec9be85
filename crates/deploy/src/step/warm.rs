//! Warm: the sealed release is compiled and asked through the real pool, before anybody else sees it.

use config::host::Moment;
use release::ReleaseId;

use super::{StepError, dir_of, release, says};
use crate::engine::Deploy;
use crate::event::Event;
use crate::health::{self, Subject};
use crate::journal::Journal;
use crate::receipt::{Receipt, Step};
use crate::slot;
use crate::warm::{self, Warmed};

pub fn run(deploy: &Deploy<'_>, journal: &Journal) -> Result<Receipt, StepError> {
    let (app, id) = (deploy.app(), release(journal)?);
    let dir = dir_of(app, id)?;
    deploy.hooks(journal, Moment::BeforeWarm, Step::Warm, &dir)?;
    forget_what_was_there(deploy, id)?;
    let mut progress = |done: usize, total: usize| {
        let (done, total) = (done as u64, total as u64);
        deploy.tell(Event::Progress { step: Step::Warm, done, total });
    };
    let Warmed { compiled, mut requests, warnings } = warmed(deploy, id, &mut progress)?;
    let says = says(deploy, &dir)?;
    let subject = Subject { deploy, says: &says, id, dir: &dir };
    if let Some(health) = &deploy.config.host.health {
        requests += health::staged(&subject, health)?;
    }
    deploy.hooks(journal, Moment::AfterWarm, Step::Warm, &dir)?;
    Ok(Receipt::Warmed { compiled, requests, warnings })
}

/// Compiles a sealed release and asks it for its pages, without its hooks and its health. `progress` is told how many
/// files are done, of how many.
pub fn warmed(
    deploy: &Deploy<'_>,
    id: &ReleaseId,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Warmed, StepError> {
    let dir = dir_of(deploy.app(), id)?;
    let says = says(deploy, &dir)?;
    Ok(warm::warm(&Subject { deploy, says: &says, id, dir: &dir }, progress)?)
}

/// Before anybody runs a script of its slot, each pool forgets what it compiled of another release there.
fn forget_what_was_there(deploy: &Deploy<'_>, id: &ReleaseId) -> Result<(), StepError> {
    let app = deploy.app();
    if release::slot::of(app, id).is_some() {
        slot::settle(app, deploy.config.host.php.as_ref(), &deploy.pools)?;
    }
    Ok(())
}
