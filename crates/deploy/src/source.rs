//! Source: where a release's tree comes from, and what it is made of.
//!
//! A directory is taken as it stands; a git ref is checked out from a mirror kept in `.cutover/git`; an archive is
//! unpacked. What the two latter give lies below a work directory, which may be used again: files that did not change
//! are not written again.

mod archive;
mod dir;
mod git;
mod run;
mod unpack;

use std::path::{Path, PathBuf};

use config::host::{Origin, SourceTree};
use release::App;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

pub use git::{Commit, commits};

/// Which state of the project a tree is, as far as is known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revision {
    /// The commit, in full.
    pub commit: Option<String>,
    /// The branch it was taken from.
    pub branch: Option<String>,
    /// Who wrote it: `Name <address>`.
    pub author: Option<String>,
    /// The first line of its message.
    pub message: Option<String>,
    /// The tree is not what was committed: it has changes that nobody else has.
    #[serde(default)]
    pub dirty: bool,
}

impl Revision {
    /// Its commit in short, and whether that is all: `9f3c2a1b2d` or `9f3c2a1b2d dirty`.
    pub fn short(&self) -> Option<String> {
        let commit = self.commit.as_deref()?;
        let commit = commit.get(..10).unwrap_or(commit);
        Some(if self.dirty { format!("{commit} dirty") } else { commit.to_owned() })
    }
}

/// A tree that can be built and staged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// Where it is. Below the work directory, unless nothing is to be built in it: then it may be the source itself,
    /// which nothing may write to.
    pub tree: PathBuf,
    /// What it is made of.
    pub revision: Revision,
}

/// Why there is no tree.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The directory is not there, or is none.
    #[error("the source {path} is not a directory that can be read: {why}", path = path.display())]
    NoDirectory {
        /// The directory.
        path: PathBuf,
        /// What the kernel said.
        why: Errno,
    },
    /// The app's own releases would be part of the next one.
    #[error("the source {path} lies inside the app's own directory {inside}", path = path.display(), inside = inside.display())]
    InsideApp {
        /// The source.
        path: PathBuf,
        /// Where it must not lie.
        inside: PathBuf,
    },
    /// A program is missing or could not be started.
    #[error("cannot run {program}: {why}")]
    NoProgram {
        /// Which.
        program: &'static str,
        /// What was said.
        why: std::io::Error,
    },
    /// A program failed.
    #[error("{command} failed ({status}){said}", said = last_words(said))]
    Failed {
        /// What was run.
        command: String,
        /// How it ended.
        status: String,
        /// Its last lines on stderr.
        said: String,
    },
    /// The repository has no such branch, tag or commit.
    #[error("{repository} has no branch, tag or commit {reference:?}")]
    NoRef {
        /// Where.
        repository: String,
        /// What was asked for.
        reference: String,
    },
    /// Files are kept in Git LFS, which is not installed.
    #[error("{path} says that files are kept in Git LFS, and git-lfs is not installed", path = path.display())]
    NoLfs {
        /// Which .gitattributes.
        path: PathBuf,
    },
    /// The archive is of no kind that is known.
    #[error("{archive} is no archive: it should be tar, tar.gz, tar.zst or zip")]
    NoArchive {
        /// Which.
        archive: String,
    },
    /// The archive cannot be read to its end.
    #[error("the archive {archive} is damaged: {why}")]
    Damaged {
        /// Which.
        archive: String,
        /// What is wrong.
        why: std::io::Error,
    },
    /// The archive holds something that does not belong into a release.
    #[error("the archive {archive} is refused: {name:?} {why}")]
    Refused {
        /// Which.
        archive: String,
        /// Its entry.
        name: String,
        /// Why.
        why: &'static str,
    },
    /// Something could not be read or written.
    #[error("cannot {tried} {path}: {why}", path = path.display())]
    Disk {
        /// What was tried.
        tried: &'static str,
        /// On what.
        path: PathBuf,
        /// What the kernel said.
        why: std::io::Error,
    },
    /// The source changed while it was read.
    #[error("{path} changed while it was read, again and again: is something still writing it?", path = path.display())]
    Changing {
        /// What changed.
        path: PathBuf,
    },
}

/// Gets the tree. `work` is a directory for it, made if missing; what programs say goes to `out` as it comes.
pub fn fetch(
    source: &SourceTree,
    app: &App,
    work: &Path,
    out: &mut dyn FnMut(&[u8]),
) -> Result<Fetched, SourceError> {
    match &source.origin {
        Origin::Dir(path) => dir::fetch(source, path, app, work),
        Origin::Git { repository, reference } => git::fetch(repository, reference, app, work, out),
        Origin::Archive(archive) => archive::fetch(archive, app.root(), work, out),
    }
}

fn last_words(said: &str) -> String {
    if said.is_empty() { String::new() } else { format!(": {said}") }
}

/// `map_err` to [`SourceError::Disk`].
pub(crate) fn disk<E: Into<std::io::Error>>(
    tried: &'static str,
    path: &Path,
) -> impl FnOnce(E) -> SourceError + use<E> {
    let path = path.to_owned();
    move |why| SourceError::Disk { tried, path, why: why.into() }
}
