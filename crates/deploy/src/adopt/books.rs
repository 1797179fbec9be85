//! Books: the files in which the other tool notes what it deployed. They are kept up, so that it can be gone back to.

use std::path::{Path, PathBuf};

use release::atomic::{self, AtomicError};
use release::{App, ReleaseId};
use rustix::fs::{CWD, Mode, OFlags, openat};

use super::record::{self, RecordError};
use super::tool::{Tool, is_number};

/// A flip that was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flip<'a> {
    /// What is live now.
    pub to: &'a ReleaseId,
    /// Whether that is an older release again.
    pub back: bool,
    /// Which commit it was made from, where that is known; else the release's file `REVISION` tells.
    pub commit: Option<&'a str>,
    /// Which branch.
    pub branch: Option<&'a str>,
    /// Who did it.
    pub who: &'a str,
}

/// Why the books were not kept. The flip was done all the same.
#[derive(Debug, thiserror::Error)]
pub enum BooksError {
    /// What was adopted cannot be read.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A book cannot be written.
    #[error(transparent)]
    Disk(#[from] AtomicError),
    /// A book cannot be read.
    #[error("cannot read {path}")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
}

/// Notes a flip in the books of the tool that the app was adopted from, as that tool would. Not adopted: nothing.
pub fn flipped(app: &App, flip: &Flip<'_>) -> Result<(), BooksError> {
    let Some(record) = record::read(app)? else { return Ok(()) };
    match record.tool {
        Tool::Capistrano => capistrano(app, flip),
        Tool::Deployer => deployer(app, flip),
        Tool::Ansistrano | Tool::Mina | Tool::Envoyer | Tool::Other => Ok(()),
    }
}

/// A line in `revisions.log`.
fn capistrano(app: &App, flip: &Flip<'_>) -> Result<(), BooksError> {
    let Flip { to, who, .. } = flip;
    let line = if flip.back {
        format!("{who} rolled back to release {to}\n")
    } else {
        let read = std::fs::read_to_string(app.release(to).join("REVISION")).unwrap_or_default();
        let commit = flip.commit.unwrap_or(read.trim());
        let branch = flip.branch.unwrap_or("unknown");
        format!("Branch {branch} (at {commit}) deployed as release {to} by {who}\n")
    };
    append(&app.root().join("revisions.log"), &line)
}

/// `.dep/releases_log`, without which Deployer does not know a release, and `.dep/latest_release`, from which it
/// counts on.
fn deployer(app: &App, flip: &Flip<'_>) -> Result<(), BooksError> {
    let log = app.root().join(".dep/releases_log");
    let text = read(&log)?;
    let id = flip.to.as_str();
    let named = |line: &str| {
        let line: Option<serde_json::Value> = serde_json::from_str(line).ok();
        line.is_some_and(|line| line.get("release_name").and_then(|name| name.as_str()) == Some(id))
    };
    if !text.lines().any(named) {
        // PHP's DateTime::ISO8601: no colon in the zone.
        let at = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S+0000").to_string();
        let target = flip.branch.or(flip.commit).unwrap_or("HEAD");
        let line =
            serde_json::json!({ "created_at": at, "release_name": id, "user": flip.who, "target": target });
        append(&log, &format!("{line}\n"))?;
    }
    if is_number(id) {
        let latest = app.root().join(".dep/latest_release");
        let known: u64 = read(&latest)?.trim().parse().unwrap_or_default();
        if id.parse::<u64>().is_ok_and(|id| id > known) {
            overwrite(&latest, &format!("{id}\n"))?;
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<String, BooksError> {
    match std::fs::read(path) {
        Ok(text) => Ok(String::from_utf8_lossy(&text).into_owned()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(source) => Err(BooksError::Unreadable { path: path.to_owned(), source }),
    }
}

/// Writes a greater number over a smaller one, in one write, so that none is ever missing. Not by a new file: that
/// would belong to whoever runs us, and the other tool may run as somebody else.
fn overwrite(path: &Path, text: &str) -> Result<(), BooksError> {
    write(path, OFlags::empty(), text)
}

fn append(path: &Path, text: &str) -> Result<(), BooksError> {
    write(path, OFlags::APPEND, text)
}

fn write(path: &Path, how: OFlags, text: &str) -> Result<(), BooksError> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC | how;
    let failed = |why| AtomicError { tried: "open", path: path.to_owned(), why };
    let file = openat(CWD, path, flags, Mode::from_raw_mode(0o664)).map_err(failed)?;
    Ok(atomic::append(&file, path, text.as_bytes())?)
}
