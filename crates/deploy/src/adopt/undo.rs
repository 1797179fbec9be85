//! Undo: hands an adopted tree back to the tool it came from.
//!
//! The link, the releases and the tool's books stay as they are now: what was flipped and deployed meanwhile stays
//! flipped and deployed. All else is as if nobody had adopted it.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use release::App;
use release::atomic::{self, AtomicError};
use release::lock::DeployLock;
use rustix::fs::{AtFlags, CWD, unlinkat};
use rustix::io::Errno;

use crate::journal;

use super::record::{self, Record, RecordError};
use super::tool::Tool;
use super::{config_file, disk};

/// What was handed back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandedBack {
    /// To whom.
    pub tool: Tool,
    /// Litter that lies there again, below the root.
    pub litter: Vec<PathBuf>,
    /// A cutover.toml that was changed since, and so is left.
    pub kept: Option<PathBuf>,
}

/// Why a tree was not handed back.
#[derive(Debug, thiserror::Error)]
pub enum UndoError {
    /// It was not adopted.
    #[error("{0} was not adopted")]
    NotAdopted(PathBuf),
    /// A server runs on it.
    #[error("cutover serve is running on it")]
    Served,
    /// A deploy was begun and is not over.
    #[error("a deploy was begun and is not over")]
    Deploying,
    /// What was done cannot be read.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// Something could not be changed on disk.
    #[error(transparent)]
    Disk(#[from] AtomicError),
    /// Our own files could not be deleted. All else is handed back.
    #[error("cannot delete {path}")]
    Left {
        /// What is left.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// Whether something is left of an undoing that was killed; if so it is deleted.
pub fn finish(app: &App) -> Result<bool, UndoError> {
    let path = aside(app);
    match path.symlink_metadata() {
        Ok(_) => delete(&path).map(|()| true),
        Err(_) => Ok(false),
    }
}

/// Hands the tree back. The lock goes with `.cutover/`.
pub fn undo(lock: DeployLock) -> Result<HandedBack, UndoError> {
    let app = lock.app().clone();
    let root = app.root();
    let record = record::read(&app)?.ok_or_else(|| UndoError::NotAdopted(root.to_owned()))?;
    if UnixStream::connect(app.serve_socket()).is_ok() {
        return Err(UndoError::Served);
    }
    // A journal that cannot be read tells of no deploy that could still be finished.
    if matches!(journal::look(&app), Ok(Some(_))) {
        return Err(UndoError::Deploying);
    }
    let untouched = record.root_after_ns.is_some() && record.root_after_ns == disk::mtime_ns(root);
    let record = record::back(&app, record)?;
    for (litter, time) in record.litter.iter().zip(record.back.iter().flatten()) {
        let path = root.join(&litter.path);
        put_back(&path, &litter.text, litter.mtime_ns)?;
        disk::put_time_back(&path, *time)?;
    }
    for made in record.made.iter().rev() {
        take_away(&root.join(made))?;
    }
    let kept = remove_config(&app, &record)?;
    let aside = aside(&app);
    atomic::move_to(&app.state(), &aside)?;
    drop(lock);
    delete(&aside)?;
    if let (true, Some(before)) = (untouched, record.root_before_ns) {
        disk::set_mtime_ns(root, before)?;
    }
    let litter = record.litter.into_iter().map(|litter| litter.path).collect();
    Ok(HandedBack { tool: record.tool, litter, kept })
}

/// Makes the link anew, with its old time, unless something else stands there by now or its release is gone.
fn put_back(path: &Path, text: &Path, mtime_ns: i128) -> Result<(), AtomicError> {
    let beside = path.parent().is_some_and(Path::is_dir);
    let theirs = path.symlink_metadata().is_ok() && std::fs::read_link(path).ok().as_deref() != Some(text);
    if !beside || theirs {
        return Ok(());
    }
    disk::make_link(path, text)?;
    disk::set_mtime_ns(path, mtime_ns)
}

/// Removes a link or an empty directory that adopting made.
fn take_away(path: &Path) -> Result<(), AtomicError> {
    if std::fs::read_link(path).is_ok() {
        return disk::remove_link(path);
    }
    atomic::effect();
    match unlinkat(CWD, path, AtFlags::REMOVEDIR) {
        Ok(()) => atomic::sync_parent(path),
        // Somebody put something into it, or removed it: then it is theirs.
        Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOENT | Errno::NOTDIR) => Ok(()),
        Err(why) => Err(AtomicError { tried: "remove", path: path.to_owned(), why }),
    }
}

/// Removes cutover.toml if it is as it was written; else says where it is.
fn remove_config(app: &App, record: &Record) -> Result<Option<PathBuf>, AtomicError> {
    let file = config_file(app);
    let Ok(text) = std::fs::read(&file) else { return Ok(None) };
    if blake3::hash(&text).to_hex().as_str() != record.config {
        return Ok(Some(file));
    }
    atomic::remove(&file).map(|()| None)
}

/// Where `.cutover/` is moved before it is deleted, so that it is there whole or not at all.
fn aside(app: &App) -> PathBuf {
    app.root().join(".cutover-handed-back")
}

fn delete(path: &Path) -> Result<(), UndoError> {
    atomic::effect();
    std::fs::remove_dir_all(path).map_err(|source| UndoError::Left { path: path.to_owned(), source })
}
