//! Prune: old releases go, at the end of a deploy. Nothing here makes it fail: what is wrong is reported.

use config::host::{Layout, Moment};
use release::history;

use super::{StepError, dir_of, release};
use crate::engine::Deploy;
use crate::journal::Journal;
use crate::keep::{self, Pruned};
use crate::opcache::collect;
use crate::pinnable;
use crate::receipt::{Receipt, Step};

pub fn run(deploy: &Deploy<'_>, journal: &Journal) -> Result<Receipt, StepError> {
    let dir = dir_of(deploy.app(), release(journal)?)?;
    let mut problems = Vec::new();
    let hook = |moment: Moment| {
        let done = deploy.hooks(journal, moment, Step::Prune, &dir);
        done.err().map(|error| format!("{}: {error}", moment.key()))
    };
    problems.extend(hook(Moment::BeforePrune));
    let keys = &deploy.config.host.app;
    let rule = keep::Rule { keep: keys.keep, keep_for: keys.keep_for, slots: keys.layout == Layout::Slots };
    if let Some(close_idle) = &deploy.close_idle {
        close_idle();
    }
    if let Err(error) = pinnable::sweep(
        deploy.app(),
        keys.keep_for,
        &history::read(deploy.app()).map_err(StepError::History)?,
    ) {
        problems.push(error.to_string());
    }
    let gone = match keep::prune(deploy.lock, rule, &deploy.workers) {
        Ok(Pruned { gone, problems: found, .. }) => {
            problems.extend(found);
            if let Some(php) = deploy.config.host.php.as_ref().filter(|_| !gone.is_empty()) {
                problems.extend(collect::everywhere(deploy.app(), &php.path_map, deploy.asked()));
            }
            gone
        }
        Err(error) => {
            problems.push(error.to_string());
            Vec::new()
        }
    };
    problems.extend(hook(Moment::AfterPrune));
    Ok(Receipt::Pruned { gone: gone.iter().map(ToString::to_string).collect(), problems })
}
