//! Stage and seal: the tree becomes a release in its final path, hooks finish it there, and it is sealed.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use config::host::Moment;
use release::manifest;

use super::{StepError, dir_of, release};
use crate::engine::Deploy;
use crate::event::Event;
use crate::journal::Journal;
use crate::pack;
use crate::receipt::{Receipt, Step};
use crate::record;
use crate::stage::{self, Rules};

/// How often progress is told.
const OFTEN: Duration = Duration::from_millis(100);

pub fn run(deploy: &Deploy<'_>, journal: &Journal) -> Result<Receipt, StepError> {
    let id = release(journal)?;
    let tree = journal.tree().ok_or(StepError::Missing("where the tree is"))?;
    deploy.hooks(journal, Moment::BeforeStage, Step::Stage, tree)?;
    let rules = Rules::of(&deploy.config.host)?;
    let mut told = Instant::now();
    let mut progress = |at: stage::Progress| {
        if told.elapsed() >= OFTEN {
            told = Instant::now();
            deploy.tell(Event::Progress { step: Step::Stage, done: at.files, total: at.files_last_time });
        }
    };
    let staged = stage::stage(deploy.app(), &rules, tree, id, &mut progress)?;
    let dir = dir_of(deploy.app(), id)?;
    deploy.hooks(journal, Moment::AfterStage, Step::Stage, &dir)?;
    // After the hooks, for what they made is served too.
    let docroot = super::says(deploy, &dir)?.docroot;
    let keys = &deploy.config.host.stage;
    let packed = pack::pack(deploy.app(), &rules, keys, &dir, &docroot, &deploy.stop)?;
    if deploy.stop.load(Ordering::SeqCst) {
        return Err(StepError::Stopped);
    }
    if packed.siblings > 0 {
        let line = format!("{} packed siblings, {} packed anew", packed.siblings, packed.anew);
        deploy.tell(Event::Output { step: Step::Stage, line });
    }
    let stage::Staged { files, bytes, bytes_copied, .. } = staged;
    Ok(Receipt::Staged { files, bytes, bytes_copied })
}

pub fn seal(deploy: &Deploy<'_>, journal: &Journal) -> Result<Receipt, StepError> {
    let (app, id) = (deploy.app(), release(journal)?);
    // Its own cutover.toml decides how it is served: better told before it is sealed.
    super::says(deploy, &dir_of(app, id)?)?;
    stage::seal(app, id).map_err(|why| StepError::Seal { release: id.clone(), why: why.to_string() })?;
    let path = app.manifest(id);
    let bytes = std::fs::read(&path).map_err(|source| StepError::Unreadable { path, source })?;
    let entries = manifest::Manifest::parse(&bytes).map_err(StepError::Manifest)?.len();
    record::write(app, journal, None)?;
    Ok(Receipt::Sealed { manifest: blake3::hash(&bytes).to_hex().to_string(), entries: entries as u64 })
}
