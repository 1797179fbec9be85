//! Warm: the sealed release is compiled and asked through the real pool, before anybody else sees it.

use config::host::Moment;
use release::manifest::{self, Kind};

use super::{StepError, dir_of, release, says};
use crate::engine::Deploy;
use crate::event::Event;
use crate::health::{self, Subject};
use crate::journal::Journal;
use crate::receipt::{Receipt, Step};
use crate::warm;

pub fn run(deploy: &Deploy<'_>, journal: &Journal) -> Result<Receipt, StepError> {
    let (app, id) = (deploy.app(), release(journal)?);
    let dir = dir_of(app, id)?;
    deploy.hooks(journal, Moment::BeforeWarm, Step::Warm, &dir)?;
    let mut warnings = Vec::new();
    let (mut compiled, mut requests) = (0, 0);
    let host = &deploy.config.host;
    if host.php.is_some() && deploy.pools.is_empty() {
        warnings.push("no pool runs: the release is neither compiled nor asked before the flip".into());
    }
    if let Some(php) = host.php.as_ref().filter(|_| host.warm.compile && !deploy.pools.is_empty()) {
        let manifest = manifest::load_at(app, id, &dir).map_err(StepError::Manifest)?;
        let manifest = manifest.ok_or(StepError::Missing("that the release was sealed"))?;
        let files = manifest.entries().filter(|(path, entry)| {
            let slashed = [b"/", *path].concat();
            matches!(entry.kind, Kind::File { .. })
                && path.ends_with(b".php")
                && !host.warm.exclude.iter().any(|pattern| pattern.matches(&slashed))
        });
        let files: Vec<&[u8]> = files.map(|(path, _)| path).collect();
        for pool in &deploy.pools {
            let mut progress = |done: usize| {
                let (done, total) = (done as u64, files.len() as u64);
                deploy.tell(Event::Progress { step: Step::Warm, done, total });
            };
            let warmed = warm::compile(app, php, pool, &dir, &files, &mut progress)?;
            compiled += warmed.compiled;
            warnings.extend(warmed.warnings);
        }
    }
    let says = says(deploy, &dir)?;
    let subject = Subject { deploy, says: &says, id, dir: &dir };
    for path in &host.warm.requests {
        requests += health::warm_up(&subject, path)?;
    }
    if let Some(health) = &host.health {
        requests += health::staged(&subject, health)?;
    }
    deploy.hooks(journal, Moment::AfterWarm, Step::Warm, &dir)?;
    Ok(Receipt::Warmed { compiled, requests, warnings })
}
