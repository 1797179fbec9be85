//! Fsck: whether every blob and every sealed release is what it should be, and mending what is not.
//!
//! A damaged blob is taken out of the store: the next deploy makes it anew. A file of a release that is missing or
//! damaged is made again from any other file that still has its content: a blob, or the same file of another release.
//! It is put in place by a rename, so a request sees the damaged file or the whole one. What nobody has any more is
//! told, not guessed.

pub(crate) mod donors;
mod mend;

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use release::lock::DeployLock;
use release::manifest::{self, Entry, Kind, Manifest, ManifestError};
use release::{App, ReleaseId};
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, openat, readlinkat, statat, unlinkat};
use rustix::io::Errno;

use crate::fsck::donors::Donors;
use crate::stage::content::read_hash;
use crate::stage::create::{open_below, open_dir};
use crate::stage::grant::lies_in;
use crate::store::Store;
use crate::store::blob::{BlobName, Hash};

/// Whether to mend.
#[derive(Clone, Copy, Debug)]
pub enum How<'a> {
    /// Only look.
    Look,
    /// Mend what can be mended, under the deploy lock.
    Mend(&'a DeployLock),
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Blobs looked at.
    pub blobs: u64,
    /// Releases looked at.
    pub releases: u64,
    /// Files of releases looked at.
    pub files: u64,
    /// What is wrong.
    pub findings: Vec<Finding>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// In which release; `None`: in the store.
    pub release: Option<ReleaseId>,
    /// Below the release or the store.
    pub path: PathBuf,
    /// What is wrong with it.
    pub wrong: Wrong,
    /// Whether that was mended.
    pub outcome: Outcome,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// It is not there.
    Missing,
    /// Its content is another than was sealed, or than its name says.
    Content,
    /// Its mode is another.
    Mode,
    /// It is something else: a link where a file was, say, or a link to elsewhere.
    Kind,
    /// It was not there when the release was sealed.
    Extra,
    /// It could not be read.
    Unreadable(Errno),
    /// The release's manifest cannot be relied on.
    Manifest(ManifestError),
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was not tried.
    Left,
    /// It is as it should be now.
    Mended,
    /// Nobody has the content any more.
    Lost,
    /// It was tried and failed.
    Failed(Errno),
}

/// Looks at the store and at the releases named, or at every sealed one. `writable` are places inside a release that
/// may change, which are passed over. `progress` is told which release is at hand.
pub fn fsck(
    app: &App,
    only: &[ReleaseId],
    writable: &[PathBuf],
    mode: How<'_>,
    progress: &mut dyn FnMut(&str),
) -> std::io::Result<Report> {
    let mut report = Report::default();
    progress("the store");
    // Before the releases, so that a damaged blob mends nothing.
    blobs(app, mode, &mut report)?;
    let ids = if only.is_empty() { sealed(app)? } else { only.to_vec() };
    let donors = Donors::new(app);
    for id in &ids {
        progress(id.as_str());
        release(app, id, writable, mode, &donors, &mut report);
    }
    if only.is_empty() {
        progress("releases that are only in the store");
        stored(app, &donors, &mut report)?;
    }
    Ok(report)
}

/// Looks whether what lost its slot could be brought back.
fn stored(app: &App, donors: &Donors, report: &mut Report) -> std::io::Result<()> {
    for manifest in release::slot::stored(app)? {
        report.releases += 1;
        for (path, entry) in manifest.entries() {
            let Kind::File { hash, .. } = &entry.kind else { continue };
            report.files += 1;
            if !donors.has(hash) {
                report.findings.push(Finding {
                    release: Some(manifest.id().clone()),
                    path: PathBuf::from(OsStr::from_bytes(path)),
                    wrong: Wrong::Missing,
                    outcome: Outcome::Lost,
                });
            }
        }
    }
    Ok(())
}

/// Every release that has a manifest and stands somewhere.
pub(crate) fn sealed(app: &App) -> std::io::Result<Vec<ReleaseId>> {
    let mut ids = Vec::new();
    let entries = match std::fs::read_dir(app.manifests()) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(ids),
        entries => entries?,
    };
    for entry in entries {
        let name = entry?.file_name();
        if let Some(id) = name.to_str().and_then(|name| ReleaseId::parse(name).ok())
            && manifest::find(app, &id).is_some()
        {
            ids.push(id);
        }
    }
    ids.sort();
    Ok(ids)
}

/// Looks at every blob. A damaged one is taken out; it may be a file of releases too, which is found there.
fn blobs(app: &App, mode: How<'_>, report: &mut Report) -> std::io::Result<()> {
    if rustix::fs::lstat(app.store()).is_err() {
        return Ok(());
    }
    let store = Store::open(app).map_err(|error| std::io::Error::from(error.why))?;
    for fan in std::fs::read_dir(store.path())? {
        let fan = fan?;
        if fan.file_name().len() != 2 || !fan.file_type()?.is_dir() {
            continue;
        }
        for entry in std::fs::read_dir(fan.path())? {
            let (fan, name) = (fan.file_name(), entry?.file_name());
            let path = Path::new(&fan).join(&name);
            let wrong = match BlobName::parse(fan.as_bytes(), name.as_bytes()) {
                None => Some(Wrong::Extra),
                Some((hash, traits)) => {
                    report.blobs += 1;
                    match content(store.dir(), &path) {
                        Err(why) => Some(Wrong::Unreadable(why)),
                        Ok((found, _)) if found != hash => Some(Wrong::Content),
                        Ok((_, mode)) => traits.filter(|traits| traits.mode != mode).map(|_| Wrong::Mode),
                    }
                }
            };
            let Some(wrong) = wrong else { continue };
            let outcome = match mode {
                How::Look => Outcome::Left,
                How::Mend(_) => {
                    release::atomic::effect();
                    match unlinkat(store.dir(), &path, AtFlags::empty()) {
                        Ok(()) => Outcome::Mended,
                        Err(why) => Outcome::Failed(why),
                    }
                }
            };
            report.findings.push(Finding { release: None, path, wrong, outcome });
        }
    }
    Ok(())
}

/// Looks at one release by its manifest.
fn release(
    app: &App,
    id: &ReleaseId,
    writable: &[PathBuf],
    mode: How<'_>,
    donors: &Donors,
    report: &mut Report,
) {
    report.releases += 1;
    let whole =
        |wrong| Finding { release: Some(id.clone()), path: PathBuf::new(), wrong, outcome: Outcome::Left };
    let Some(dir) = manifest::find(app, id) else {
        report.findings.push(whole(Wrong::Missing));
        return;
    };
    let manifest = match manifest::load_at(app, id, &dir) {
        Ok(Some(manifest)) => manifest,
        Ok(None) => {
            report.findings.push(whole(Wrong::Manifest(ManifestError::Unsealed { id: id.clone() })));
            return;
        }
        Err(why) => {
            report.findings.push(whole(Wrong::Manifest(why)));
            return;
        }
    };
    let top = match open_dir(CWD, &dir) {
        Ok(top) => top,
        Err(why) => {
            report.findings.push(whole(Wrong::Unreadable(why)));
            return;
        }
    };
    let passed = |path: &[u8]| writable.iter().any(|place| lies_in(path, place.as_os_str().as_bytes()));
    for (path, entry) in manifest.entries().filter(|(path, _)| !passed(path)) {
        report.files += u64::from(matches!(entry.kind, Kind::File { .. }));
        let Some(wrong) = wrong_with(&top, path, entry) else { continue };
        let outcome = match mode {
            How::Look => Outcome::Left,
            How::Mend(_) => mend::mend(&top, path, entry, donors),
        };
        let path = PathBuf::from(OsStr::from_bytes(path));
        report.findings.push(Finding { release: Some(id.clone()), path, wrong, outcome });
    }
    for path in extras(&top, &manifest, &passed) {
        let path = PathBuf::from(OsStr::from_bytes(&path));
        report.findings.push(Finding {
            release: Some(id.clone()),
            path,
            wrong: Wrong::Extra,
            outcome: Outcome::Left,
        });
    }
}

/// What is wrong with one entry of a release, if anything.
pub(crate) fn wrong_with(top: &OwnedFd, path: &[u8], entry: &Entry) -> Option<Wrong> {
    let (above, name) = split(path);
    let found = open_below(top, above, OFlags::PATH | OFlags::DIRECTORY).and_then(|dir| {
        let stat = statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok((dir, stat))
    });
    let (dir, stat) = match found {
        Ok(found) => found,
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Some(Wrong::Missing),
        Err(why) => return Some(Wrong::Unreadable(why)),
    };
    let mode_differs = stat.st_mode & 0o7777 != entry.mode;
    match (&entry.kind, FileType::from_raw_mode(stat.st_mode)) {
        (Kind::Dir, FileType::Directory) => mode_differs.then_some(Wrong::Mode),
        (Kind::Link { target }, FileType::Symlink) => match readlinkat(&dir, name, Vec::new()) {
            Ok(text) => (text.as_bytes() != &**target).then_some(Wrong::Kind),
            Err(why) => Some(Wrong::Unreadable(why)),
        },
        (Kind::File { hash, size, .. }, FileType::RegularFile) => {
            if stat.st_size as u64 != *size {
                return Some(Wrong::Content);
            }
            match content(&dir, Path::new(OsStr::from_bytes(name))) {
                Ok((found, _)) if found != *hash => Some(Wrong::Content),
                Ok(_) => mode_differs.then_some(Wrong::Mode),
                Err(why) => Some(Wrong::Unreadable(why)),
            }
        }
        (Kind::Dir | Kind::Link { .. } | Kind::File { .. }, _) => Some(Wrong::Kind),
    }
}

/// What stands in a release without having been sealed.
fn extras(top: &OwnedFd, manifest: &Manifest, passed: &dyn Fn(&[u8]) -> bool) -> Vec<Vec<u8>> {
    let mut extras = Vec::new();
    for (path, entry) in manifest.entries() {
        if entry.kind != Kind::Dir || passed(path) {
            continue;
        }
        // What cannot be opened was found to be wrong already.
        let Ok(dir) = open_below(top, path, OFlags::RDONLY | OFlags::DIRECTORY) else { continue };
        for entry in rustix::fs::Dir::read_from(&dir).into_iter().flatten().flatten() {
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") {
                continue;
            }
            let full = if path.is_empty() { name.to_vec() } else { [path, b"/", name].concat() };
            if manifest.get(&full).is_none() && !passed(&full) {
                extras.push(full);
            }
        }
    }
    extras.sort();
    extras
}

/// Hash and mode of a file.
pub(crate) fn content(dir: &OwnedFd, path: &Path) -> Result<(Hash, u32), Errno> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = openat(dir, path, flags, Mode::empty())?;
    let stat = rustix::fs::fstat(&file)?;
    Ok((read_hash(&file)?, stat.st_mode & 0o7777))
}

/// The directory of a path, and its last part; of the top, itself.
pub(crate) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(at) => (path.get(..at).unwrap_or_default(), path.get(at + 1..).unwrap_or_default()),
        None if path.is_empty() => (b"", b"."),
        None => (b"", path),
    }
}

impl Report {
    /// What is still wrong. What merely stands there in addition harms nobody.
    pub fn still_wrong(&self) -> impl Iterator<Item = &Finding> {
        self.findings
            .iter()
            .filter(|finding| finding.outcome != Outcome::Mended && finding.wrong != Wrong::Extra)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.release {
            Some(release) if self.path.as_os_str().is_empty() => write!(f, "{release}")?,
            Some(release) => write!(f, "{release}: {}", self.path.display())?,
            None => write!(f, "store: {}", self.path.display())?,
        }
        match &self.wrong {
            Wrong::Missing => write!(f, " is missing")?,
            Wrong::Content => write!(f, " has another content than it should")?,
            Wrong::Mode => write!(f, " has another mode than it should")?,
            Wrong::Kind => write!(f, " is not what was sealed")?,
            Wrong::Extra => write!(f, " does not belong there")?,
            Wrong::Unreadable(why) => write!(f, " cannot be read: {why}")?,
            Wrong::Manifest(why) => write!(f, ": {why}")?,
        }
        match &self.outcome {
            Outcome::Left => Ok(()),
            Outcome::Mended if self.release.is_none() => {
                write!(f, "; taken out, the next deploy makes it anew")
            }
            Outcome::Mended => write!(f, "; mended"),
            Outcome::Lost => write!(f, "; nothing else has its content, deploy again"),
            Outcome::Failed(why) => write!(f, "; could not be mended: {why}"),
        }
    }
}
