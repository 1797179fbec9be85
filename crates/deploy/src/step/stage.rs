//! Stage and seal: the tree becomes a release in its final path, hooks finish it there, and it is sealed.

use std::cell::RefCell;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use config::host::{Layout, Moment};
use release::manifest;

use super::{StepError, dir_of, release};
use crate::engine::Deploy;
use crate::event::Event;
use crate::journal::Journal;
use crate::pack;
use crate::plan::Aim;
use crate::receipt::{Receipt, Step};
use crate::record;
use crate::slot::{self, Turns};
use crate::stage::{self, Rules};

/// How often progress is told.
const OFTEN: Duration = Duration::from_millis(100);

pub fn run(deploy: &Deploy<'_>, journal: &Journal) -> Result<Receipt, StepError> {
    let id = release(journal)?;
    let rules = Rules::of(&deploy.config.host)?;
    let keys = &deploy.config.host.app;
    let mut tell = |line: &str| deploy.tell(Event::Warning { step: Step::Stage, text: line.to_owned() });
    let turns = Turns {
        lock: deploy.lock,
        slots: keys.slots,
        wait: keys.slot_wait,
        workers: &deploy.workers,
        php: deploy.config.host.php.is_some(),
        stop: &deploy.stop,
        tell: RefCell::new(&mut tell),
    };
    let mut told = Instant::now();
    let mut progress = |at: stage::Progress| {
        if told.elapsed() >= OFTEN {
            told = Instant::now();
            deploy.tell(Event::Progress { step: Step::Stage, done: at.files, total: at.files_last_time });
        }
    };
    let staged = match (&journal.plan().aim, keys.layout) {
        // Its hooks ran when it was staged first, and what they made is in its manifest.
        (Aim::Restore { .. }, _) => slot::restore(&turns, &rules, id, &mut progress)?,
        (Aim::Deploy { .. } | Aim::Rollback { .. }, layout) => {
            let tree = journal.tree().ok_or(StepError::Missing("where the tree is"))?;
            deploy.hooks(journal, Moment::BeforeStage, Step::Stage, tree)?;
            let (staged, links) = match layout {
                Layout::Releases => (stage::stage(deploy.app(), &rules, tree, id, &mut progress)?, None),
                Layout::Slots => {
                    // Our own idle connections to the pool look like workers that are about to do something.
                    if let Some(close_idle) = &deploy.close_idle {
                        close_idle();
                    }
                    let (staged, links) = slot::stage(&turns, &rules, tree, id, &mut progress)?;
                    (staged, Some(links))
                }
            };
            let dir = dir_of(deploy.app(), id)?;
            deploy.hooks(journal, Moment::AfterStage, Step::Stage, &dir)?;
            pack_siblings(deploy, &rules, &dir)?;
            if let (Some(links), Some(slot)) = (links, release::slot::of(deploy.app(), id)) {
                links.lead_where_they_led(&dir).map_err(|path| StepError::LedElsewhere { slot, path })?;
            }
            staged
        }
    };
    let stage::Staged { files, bytes, bytes_copied, .. } = staged;
    Ok(Receipt::Staged { files, bytes, bytes_copied })
}

pub fn seal(deploy: &Deploy<'_>, journal: &Journal) -> Result<Receipt, StepError> {
    let (app, id) = (deploy.app(), release(journal)?);
    // Its own cutover.toml decides how it is served: better told before it is sealed.
    super::says(deploy, &dir_of(app, id)?)?;
    stage::seal(app, id).map_err(|why| StepError::Seal { release: id.clone(), why: why.to_string() })?;
    slot::keep::private(app, id, &deploy.config.host.app.writable)
        .map_err(|why| StepError::Seal { release: id.clone(), why })?;
    let path = app.manifest(id);
    let bytes = std::fs::read(&path).map_err(|source| StepError::Unreadable { path, source })?;
    let entries = manifest::Manifest::parse(&bytes).map_err(StepError::Manifest)?.len();
    if !journal.plan().is_rollback() {
        record::write(app, journal, None)?;
    }
    Ok(Receipt::Sealed { manifest: blake3::hash(&bytes).to_hex().to_string(), entries: entries as u64 })
}

/// After the hooks, for what they made is served too.
fn pack_siblings(deploy: &Deploy<'_>, rules: &Rules, dir: &Path) -> Result<(), StepError> {
    let docroot = super::says(deploy, dir)?.docroot;
    let keys = &deploy.config.host.stage;
    let packed = pack::pack(deploy.app(), rules, keys, dir, &docroot, &deploy.stop)?;
    if deploy.stop.load(Ordering::SeqCst) {
        return Err(StepError::Stopped);
    }
    if packed.siblings > 0 {
        let line = format!("{} packed siblings, {} packed anew", packed.siblings, packed.anew);
        deploy.tell(Event::Output { step: Step::Stage, line });
    }
    Ok(())
}
