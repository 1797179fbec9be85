//! Step: what each phase of a deploy does. A step looks before it acts, so a killed one can be run again.

mod build;
mod flip;
mod prune;
mod stage;
mod verify;
mod warm;

pub use build::{tree, wanted};
pub use warm::warmed;

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use config::{ConfigError, Says};
use release::atomic::{self, AtomicError};
use release::flip::FlipError;
use release::history::HistoryError;
use release::id::IdError;
use release::manifest::ManifestError;
use release::{App, ReleaseId, SlotName};

use crate::adopt;
use crate::engine::Deploy;
use crate::health::HealthError;
use crate::hook::HookError;
use crate::host::lead::LeadError;
use crate::journal::Journal;
use crate::receipt::{Receipt, Step};
use crate::record::RecordError;
use crate::slot::StaleError;
use crate::source::SourceError;
use crate::stage::{RulesError, StageError};
use crate::warm::WarmError;

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// There is no tree.
    #[error("{0}")]
    Source(#[from] SourceError),
    /// There is none at the other end, or it did not come.
    #[error("{0}")]
    Lead(#[from] LeadError),
    /// No source is configured.
    #[error("there is no [source] to deploy from: cutover.toml should name a dir, git or archive")]
    NoSource,
    /// A ref means nothing without git.
    #[error("--ref only has a meaning with source.git")]
    NoGit,
    /// The configuration makes no rules for staging.
    #[error("{0}")]
    Rules(#[from] RulesError),
    /// The tree did not become a release.
    #[error("{0}")]
    Stage(#[from] StageError),
    /// PHP may run what stood in its slot before.
    #[error("{0}")]
    Stale(#[from] StaleError),
    /// A hook made a link of a slot lead elsewhere.
    #[error(
        "{path} leads elsewhere than in the release that had slot {slot} before, and PHP's workers may remember where it led: let the hook make it so that it leads to the same place in each release, or use app.layout = \"releases\"",
        path = path.display()
    )]
    LedElsewhere {
        /// The slot.
        slot: SlotName,
        /// Below the slot.
        path: PathBuf,
    },
    /// It could not be sealed.
    #[error("cannot seal {release}: {why}")]
    Seal {
        /// The release.
        release: ReleaseId,
        /// Why.
        why: String,
    },
    /// The release's own cutover.toml is wrong.
    #[error("the cutover.toml in the release is wrong\n{0}")]
    Says(#[from] ConfigError),
    /// A command of the project's failed.
    #[error("{0}")]
    Hook(#[from] HookError),
    /// It could not be warmed.
    #[error("{0}")]
    Warm(#[from] WarmError),
    /// It is not healthy.
    #[error("{0}")]
    Health(#[from] HealthError),
    /// It is not sealed.
    #[error("{0}")]
    Manifest(ManifestError),
    /// It could not be flipped to.
    #[error("{0}")]
    Flip(FlipError),
    /// The web server that has to be told of flips cannot be told.
    #[error("{0}")]
    Follower(String),
    /// The history cannot be used.
    #[error("{0}")]
    History(HistoryError),
    /// Something could not be written.
    #[error(transparent)]
    Disk(#[from] AtomicError),
    /// Something could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// What.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The record could not be written.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// What was adopted cannot be told.
    #[error(transparent)]
    Adopted(adopt::record::RecordError),
    /// No name could be made.
    #[error("cannot name the release: {0}")]
    Name(IdError),
    /// The journal lacks what this step needs.
    #[error("the journal does not say {0}")]
    Missing(&'static str),
    /// The deploy was told to stop.
    #[error("the deploy was stopped")]
    Stopped,
}

impl StepError {
    /// Whether it is a refusal: nothing is wrong, but something is in use.
    pub fn is_refusal(&self) -> bool {
        matches!(self, StepError::Stage(StageError::Slot(why)) if why.is_refusal())
    }
}

/// Runs a step.
pub fn run(step: Step, deploy: &Deploy<'_>, journal: &Journal) -> Result<Receipt, StepError> {
    if stoppable(step) && deploy.stop.load(Ordering::SeqCst) {
        return Err(StepError::Stopped);
    }
    match step {
        Step::Build => build::run(deploy, journal),
        Step::Stage => stage::run(deploy, journal),
        Step::Seal => stage::seal(deploy, journal),
        Step::Warm => warm::run(deploy, journal),
        Step::Flip => flip::run(deploy, journal),
        Step::Verify => verify::run(deploy, journal),
        Step::Settle => verify::settle(deploy, journal),
        Step::Prune => prune::run(deploy, journal),
        Step::Undo => flip::undo(deploy, journal),
        Step::FlipBack => flip::back(deploy, journal),
    }
}

/// Whether a deploy that is told to stop stops in this step. After the flip it goes on to its end.
pub fn stoppable(step: Step) -> bool {
    match step {
        Step::Build | Step::Stage | Step::Seal | Step::Warm | Step::Flip => true,
        Step::Verify | Step::Settle | Step::Prune | Step::Undo | Step::FlipBack => false,
    }
}

/// What a step did, for people.
pub fn told(receipt: &Receipt) -> String {
    let some = |count: u64, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    match receipt {
        Receipt::Built { release, unchanged: true, .. } => format!("{release} would be what is live"),
        Receipt::Built { release, revision, .. } => match revision.short() {
            Some(commit) if revision.dirty => {
                format!("{release}, commit {commit}: with changes that are not committed")
            }
            Some(commit) => format!("{release}, commit {commit}"),
            None => release.to_string(),
        },
        Receipt::Staged { files, bytes, bytes_copied } => {
            format!("{}, {}, {} copied", some(*files, "file"), size(*bytes), size(*bytes_copied))
        }
        Receipt::Sealed { entries, .. } => {
            if *entries == 1 {
                "1 entry".into()
            } else {
                format!("{entries} entries")
            }
        }
        Receipt::Warmed { compiled: 0, requests: 0, .. } => "nothing to do".into(),
        Receipt::Warmed { compiled, requests, .. } => {
            format!("{} in opcache, {} answered", some(*compiled, "file"), some(*requests, "request"))
        }
        Receipt::Flipped { from: Some(from), took_us } => format!("{from} was live, in {took_us} us"),
        Receipt::Flipped { from: None, took_us } => format!("nothing was live, in {took_us} us"),
        Receipt::Verified { asked: Some(asked) } => format!("{asked} answered"),
        Receipt::Verified { asked: None } => "nothing to ask".into(),
        Receipt::Settled { .. } => String::new(),
        Receipt::Pruned { gone, .. } if gone.is_empty() => "nothing to delete".into(),
        Receipt::Pruned { gone, .. } => format!("deleted {}", gone.join(", ")),
        Receipt::Undone { .. } => String::new(),
        Receipt::FlippedBack { to: Some(to), .. } => format!("{to} is live again"),
        Receipt::FlippedBack { to: None, .. } => "something else was made live meanwhile".into(),
    }
}

/// Where what a command prints is kept. Before the release has a name it is a directory of the deploy's.
pub fn log(deploy: &Deploy<'_>, journal: &Journal, name: &str) -> Box<dyn Write> {
    let dir = match journal.release() {
        Some(id) => deploy.app().logs(id.as_str()),
        None => deploy.app().logs(&nameless(journal)),
    };
    let opened = std::fs::create_dir_all(&dir)
        .and_then(|()| File::options().create(true).append(true).open(dir.join(format!("{name}.log"))));
    match opened {
        Ok(file) => Box::new(file),
        // A deploy does not fail because its output cannot be kept.
        Err(_) => Box::new(std::io::sink()),
    }
}

/// The directory of logs of a deploy whose release has no name yet.
fn nameless(journal: &Journal) -> String {
    format!("build-{}", journal.plan().at_ms)
}

/// The release that the journal is about.
fn release(journal: &Journal) -> Result<&ReleaseId, StepError> {
    journal.release().ok_or(StepError::Missing("which release it is about"))
}

/// The release's own directory, as the web server will name it.
fn dir_of(app: &App, id: &ReleaseId) -> Result<PathBuf, StepError> {
    let slot = release::slot::of(app, id);
    let releases = if slot.is_some() { app.slots() } else { app.releases() };
    #[allow(
        clippy::disallowed_methods,
        reason = "releases/ lies above the link: no flip changes where it is"
    )]
    let real = releases.canonicalize().map_err(|source| StepError::Unreadable { path: releases, source })?;
    Ok(slot.map_or_else(|| real.join(id), |slot| real.join(slot)))
}

/// How a release wants to be served: its own cutover.toml, or the host's.
fn says(deploy: &Deploy<'_>, dir: &Path) -> Result<Says, StepError> {
    let file = dir.join("cutover.toml");
    match std::fs::read_to_string(&file) {
        Ok(text) => Ok(Says::parse_release(&text, &file)?),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(deploy.config.says.clone()),
        Err(source) => Err(StepError::Unreadable { path: file, source }),
    }
}

/// Moves the logs of the build to where those of the release are.
fn rename_logs(deploy: &Deploy<'_>, journal: &Journal, id: &ReleaseId) {
    let (from, to) = (deploy.app().logs(&nameless(journal)), deploy.app().logs(id.as_str()));
    if from.exists() {
        // What cannot be moved stays where it is, and can be read there.
        drop(atomic::move_to(&from, &to));
    }
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        1_000_000_000.. => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}
