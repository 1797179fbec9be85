//! Warm: the sealed release is compiled and asked through the real pool, before anybody else sees it.

use config::host::Moment;

use super::{StepError, dir_of, release, says};
use crate::engine::Deploy;
use crate::event::Event;
use crate::health::{self, Subject};
use crate::journal::Journal;
use crate::receipt::{Receipt, Step};
use crate::warm::{self, Warmed};

pub fn run(deploy: &Deploy<'_>, journal: &Journal) -> Result<Receipt, StepError> {
    let (app, id) = (deploy.app(), release(journal)?);
    let dir = dir_of(app, id)?;
    deploy.hooks(journal, Moment::BeforeWarm, Step::Warm, &dir)?;
    let says = says(deploy, &dir)?;
    let subject = Subject { deploy, says: &says, id, dir: &dir };
    let mut progress = |done: usize, total: usize| {
        let (done, total) = (done as u64, total as u64);
        deploy.tell(Event::Progress { step: Step::Warm, done, total });
    };
    let Warmed { compiled, mut requests, warnings } = warm::warm(&subject, &mut progress)?;
    if let Some(health) = &deploy.config.host.health {
        requests += health::staged(&subject, health)?;
    }
    deploy.hooks(journal, Moment::AfterWarm, Step::Warm, &dir)?;
    Ok(Receipt::Warmed { compiled, requests, warnings })
}
