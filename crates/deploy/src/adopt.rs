//! Adopt: takes over the tree of another deploy tool in place, under live traffic, and hands it back.
//!
//! ```text
//!   survey (looks only) ──> adopt: record ──> history ──> seals ──> litter ──> bridges ──> cutover.toml
//!                           undo:  litter ──> bridges ──> cutover.toml ──> .cutover/
//! ```
//! The link, the releases, their names and the tool's own files are never changed, so that tool goes on working.
//! The record is written first and cutover.toml last: killed in between, adopting again finishes it and undoing
//! takes it back. Later flips of ours are noted in the tool's own [`books`], and new releases are named by its
//! [`scheme`].

pub mod books;
mod disk;
pub mod litter;
pub mod record;
pub mod scheme;
pub mod shared;
pub mod standing;
pub mod survey;
mod tool;
pub mod undo;

use std::path::{Path, PathBuf};

use release::atomic::{self, AtomicError};
use release::history::{self, Event, HistoryError, What};
use release::lock::DeployLock;
use release::manifest::{self, SealError};
use release::{App, ReleaseId};

use crate::init::{self, Guess, Place};
use record::{Record, RecordError};
use standing::Standing;
use survey::Survey;

pub use survey::{SurveyError, survey};
pub use tool::Tool;
pub use undo::{HandedBack, undo};

/// What was done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Adopted {
    /// Releases that were sealed.
    pub sealed: Vec<ReleaseId>,
    /// Links that were removed, below the root.
    pub removed: Vec<PathBuf>,
    /// Links that were made in `shared/`, below the root.
    pub made: Vec<PathBuf>,
}

/// Why a tree was not adopted, or not wholly. What is live is not touched in any case.
#[derive(Debug, thiserror::Error)]
pub enum AdoptError {
    /// It has a cutover.toml that adopting did not write.
    #[error("{0} is there already")]
    Configured(PathBuf),
    /// The tool's own lock is there.
    #[error("{path} says that {by} is deploying")]
    Locked {
        /// The lock.
        path: PathBuf,
        /// What it says.
        by: String,
    },
    /// A release could not be sealed.
    #[error("cannot seal {id}")]
    Unsealed {
        /// The release.
        id: ReleaseId,
        /// Why not.
        source: SealError,
    },
    /// The history could not be written.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// Something could not be changed on disk.
    #[error(transparent)]
    Disk(#[from] AtomicError),
    /// What was done before cannot be read.
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// Where an adopted app's cutover.toml stands.
pub fn config_file(app: &App) -> PathBuf {
    app.root().join("cutover.toml")
}

/// The cutover.toml for a tree, with what it was taken for. `None` only if the presets themselves are broken.
pub fn config(survey: &Survey, name: &str) -> Option<(Guess, String)> {
    let guess = init::guess(&[survey.live.dir.join(&survey.live.below)])?;
    let usual = survey.app.root().join("current");
    let link = survey.app.link();
    let within = |link: &Path| link.strip_prefix(survey.app.root()).unwrap_or(link).to_owned();
    let shared = &survey.shared;
    let mut head = vec![format!("Written by `cutover adopt` for a tree of {}.", survey.tool)];
    for (path, text) in &shared.odd {
        head.push(format!(
            "{path} leads to {text}, under another name than its own: new releases will not have it."
        ));
    }
    for path in &shared.dangling {
        head.push(format!(
            "{path} leads into shared/, where nothing of that name is: new releases will not have it."
        ));
    }
    let source = match &survey.origin {
        Some((url, branch)) => {
            let text = |text: &str| toml::Value::String(text.to_owned()).to_string();
            let mut lines = vec![format!("git = {}", text(url))];
            lines.extend(branch.as_ref().map(|branch| format!("ref = {}", text(branch))));
            lines
        }
        None => Vec::new(),
    };
    let place = Place {
        name: name.to_owned(),
        root: None,
        link: (link != usual).then(|| within(link)),
        shared: Some((shared.dirs.clone(), shared.files.clone())),
        source,
        head,
    };
    let text = init::write(&guess, &place);
    Some((guess, text))
}

/// Whether the tree may be adopted now. To be asked before the deploy lock is taken too, for that makes `.cutover/`.
pub fn may(survey: &Survey) -> Result<(), AdoptError> {
    let file = config_file(&survey.app);
    if file.symlink_metadata().is_ok() {
        return Err(AdoptError::Configured(file));
    }
    if let Some((path, by)) = &survey.foreign_lock {
        let by = if by.is_empty() { "somebody".to_owned() } else { by.clone() };
        return Err(AdoptError::Locked { path: path.clone(), by });
    }
    Ok(())
}

/// Takes the tree over. `text` is the cutover.toml to write, see [`config`]; `tell` hears what is being done.
/// What an earlier run that was killed has done already is not done again.
pub fn adopt(
    lock: &DeployLock,
    survey: &Survey,
    text: &str,
    who: &str,
    tell: &mut dyn FnMut(String),
) -> Result<Adopted, AdoptError> {
    let app = lock.app();
    let file = config_file(app);
    may(survey)?;
    let known = record::read(app)?;
    let record = record::begin(app, survey, known, text)?;
    let mut adopted = Adopted::default();
    note(app, survey, &record, who)?;
    for found in &survey.releases {
        if found.standing == Standing::Unknown || manifest::sealed(app, &found.id).is_ok() {
            continue;
        }
        tell(format!("sealing {}", found.id));
        manifest::seal(app, &found.id)
            .map_err(|source| AdoptError::Unsealed { id: found.id.clone(), source })?;
        adopted.sealed.push(found.id.clone());
    }
    // Of the record: what a run that was killed removed had its directory's time not put back yet, perhaps.
    for litter in &record.litter {
        let path = app.root().join(&litter.path);
        disk::remove_link(&path)?;
        disk::put_time_back(&path, litter.dir_mtime_ns)?;
        adopted.removed.push(litter.path.clone());
    }
    for beside in &survey.shared.beside {
        let path = Path::new("shared").join(beside);
        disk::bridge(app.root(), &path)?;
        adopted.made.push(path);
    }
    atomic::replace(&file, text.as_bytes())?;
    record::done(app, record)?;
    Ok(adopted)
}

/// Writes down what went live, when and how it went, unless a run that was killed did.
fn note(app: &App, survey: &Survey, record: &Record, who: &str) -> Result<(), AdoptError> {
    let known = history::read(app)?;
    let who = format!("{who} by adopting");
    let mut events = Vec::new();
    for found in &survey.releases {
        let event = |what| Event { time: whole(found.when), id: found.id.clone(), what, who: who.clone() };
        match found.standing {
            Standing::Unknown => {}
            Standing::Live | Standing::Good => events.push(event(What::Live)),
            // That it was live is known of Capistrano alone; that it is bad is enough.
            Standing::Bad => {}
        }
        events.extend(found.standing.verdict().map(event));
    }
    let begun = record.begun();
    for event in events {
        // History of our own, from before, stands; only what is missing is added.
        let same = |other: &&Event| other.id == event.id && other.what == event.what;
        if known.iter().any(|other| same(&other) && (other.time == event.time || other.time < begun)) {
            continue;
        }
        history::append(app, &event)?;
    }
    Ok(())
}

/// To the millisecond, as history keeps it.
fn whole(time: std::time::SystemTime) -> std::time::SystemTime {
    let since = time.duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap_or_default();
    let millis = u64::try_from(since.as_millis()).unwrap_or_default();
    std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_millis(millis)
}
