//! Build: the source is fetched, its build commands run, and the release gets its name.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use config::host::{Moment, Origin, SourceTree};
use release::atomic;
use release::{ReleaseId, live};

use super::{StepError, log, nameless, rename_logs, size};
use crate::adopt::scheme;
use crate::engine::Deploy;
use crate::event::Event;
use crate::hook::Shell;
use crate::host::mirror::Received;
use crate::journal::Journal;
use crate::name;
use crate::plan::{Aim, Plan};
use crate::receipt::{Receipt, Step};
use crate::record;
use crate::source::{self, Fetched, Revision};
use crate::stage::{self, Rules};

/// Builds longer than this hang.
const LONGEST: Duration = Duration::from_secs(3600);

pub fn run(deploy: &Deploy<'_>, journal: &Journal) -> Result<Receipt, StepError> {
    let fetched = match deploy.lead {
        Some(lead) => {
            let (fetched, Received { files, bytes, .. }) = lead.tree(deploy)?;
            let line = format!("received {files} files, {}", size(bytes));
            deploy.tell(Event::Output { step: Step::Build, line });
            fetched
        }
        None => tree(deploy, journal)?,
    };
    let release = named(deploy, journal, &fetched.revision)?;
    let unchanged = asks_for_change(journal) && is_live(deploy, &fetched.tree, &fetched.revision)?;
    rename_logs(deploy, journal, &release);
    let Revision { commit, dirty, .. } = fetched.revision.clone();
    deploy.tell(Event::Named { release: release.to_string(), commit, dirty });
    Ok(Receipt::Built { release, tree: fetched.tree, revision: fetched.revision, unchanged })
}

/// The source, fetched and built here, with the hooks around that.
pub fn tree(deploy: &Deploy<'_>, journal: &Journal) -> Result<Fetched, StepError> {
    let app = deploy.app();
    deploy.hooks(journal, Moment::BeforeBuild, Step::Build, app.root())?;
    let source = wanted(deploy, journal.plan())?;
    let work = app.work();
    atomic::make_dir(&work)?;
    let mut kept = log(deploy, journal, "source");
    let mut out = |bytes: &[u8]| {
        // The deploy does not fail because its output cannot be kept.
        kept.write_all(bytes).unwrap_or(());
        for line in String::from_utf8_lossy(bytes).lines().filter(|line| !line.trim().is_empty()) {
            deploy.tell(Event::Output { step: Step::Build, line: deploy.masked(line) });
        }
    };
    let fetched = source::fetch(&source, app, &work, &mut out)?;
    commands(deploy, journal, &source, &fetched.tree)?;
    deploy.hooks(journal, Moment::AfterBuild, Step::Build, &fetched.tree)?;
    Ok(fetched)
}

/// The configured source, at the ref that was asked for. A tree that hooks may write to is never the source itself.
pub fn wanted(deploy: &Deploy<'_>, plan: &Plan) -> Result<SourceTree, StepError> {
    let hooks = &deploy.config.host.hooks;
    let mut source = deploy.config.host.source.clone().ok_or(StepError::NoSource)?;
    let worked_on = [Moment::AfterBuild, Moment::BeforeStage].iter().any(|at| !hooks.at(*at).is_empty());
    if worked_on && source.build.is_empty() {
        source.build.push("true".into());
    }
    if let Aim::Deploy { reference: Some(wanted), .. } = &plan.aim {
        match &mut source.origin {
            Origin::Git { reference, .. } => *reference = wanted.clone(),
            Origin::Dir(_) | Origin::Archive(_) => return Err(StepError::NoGit),
        }
    }
    Ok(source)
}

/// Runs the build commands in the tree, with a cache that outlives it.
fn commands(
    deploy: &Deploy<'_>,
    journal: &Journal,
    source: &SourceTree,
    tree: &Path,
) -> Result<(), StepError> {
    if source.build.is_empty() {
        return Ok(());
    }
    let cache = deploy.app().cache();
    atomic::make_dir(&cache)?;
    let mut env = deploy.environment(journal, "build");
    for (name, below) in [("COMPOSER_CACHE_DIR", "composer"), ("npm_config_cache", "npm")] {
        if std::env::var_os(name).is_none() {
            env.push((name, OsString::from(cache.join(below))));
        }
    }
    for run in &source.build {
        let shell = Shell { run, dir: tree, user: None, timeout: LONGEST, env: &env };
        deploy.shell(journal, &shell, Step::Build, "build")?;
    }
    Ok(())
}

fn named(deploy: &Deploy<'_>, journal: &Journal, revision: &Revision) -> Result<ReleaseId, StepError> {
    let releases = deploy.app().releases();
    let names: Vec<String> = match std::fs::read_dir(&releases) {
        Ok(entries) => entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(source) => return Err(StepError::Unreadable { path: releases, source }),
    };
    let mut known: Vec<ReleaseId> = names.iter().filter_map(|name| ReleaseId::parse(name).ok()).collect();
    // Pruned ones too: a name is never used twice.
    let events = release::history::read(deploy.app()).map_err(StepError::History)?;
    known.extend(events.into_iter().map(|event| event.id));
    let now = jiff::Timestamp::now();
    if let Some(id) = scheme::next(deploy.app(), &known, now).map_err(StepError::Adopted)? {
        return Ok(id);
    }
    let salt = format!("{} {}", nameless(journal), std::process::id());
    name::fresh(&known, now, revision.commit.as_deref(), salt.as_bytes()).map_err(StepError::Name)
}

fn asks_for_change(journal: &Journal) -> bool {
    match journal.plan().aim {
        Aim::Deploy { only_if_changed, .. } => only_if_changed,
        Aim::Rollback { .. } | Aim::Restore { .. } => false,
    }
}

/// Whether the tree is what is live: the same commit, or, where there are none, the same files.
fn is_live(deploy: &Deploy<'_>, tree: &Path, revision: &Revision) -> Result<bool, StepError> {
    let Ok(live) = live::read(deploy.app()) else { return Ok(false) };
    let before = record::read(deploy.app(), &live.id).map(|record| record.revision);
    // With changes that are not committed the commit says nothing about the files.
    if let (Some(now), Some(before)) = (&revision.commit, before)
        && let (Some(before), false) = (&before.commit, before.dirty || revision.dirty)
    {
        return Ok(now == before);
    }
    let preview = stage::look(deploy.app(), &Rules::of(&deploy.config.host)?, tree)?;
    Ok(preview.added.is_empty() && preview.changed.is_empty() && preview.removed.is_empty())
}
