//! Slot: a stable directory that successive releases take turns in; a link in `releases/` says whose turn it is.
//!
//! ```text
//!   current -> releases/<id>      releases/<id> -> ../slots/a      slots/a/ slots/b/
//! ```
//! The scripts of a slot keep their paths, so what did not change stays compiled. The rules: a slot is rewritten only
//! while it is held here, which nobody can who finds a lease on it, and while no link names it; so a name never leads
//! to another release's files, and a half-written slot has no name. What a release that lost its slot consisted of,
//! its manifest still says.

use crate::app::App;
use crate::atomic::{self, AtomicError};
use crate::flocked::Flocked;
use crate::id::ReleaseId;
use crate::live::{self, Live, LiveError};
use crate::lock::DeployLock;
use crate::manifest::{self, Manifest, TreeId};
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{CWD, FlockOperation, Mode, OFlags, flock, openat};
use rustix::io::Errno;
use std::fmt;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The name of a slot: a letter, and from its second life on a number: `a`, `b`, `a2`. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotName(Arc<str>);

/// The most slots an app can have: one per letter.
pub const MOST: u32 = 26;

/// A slot that nobody else holds: while this lives no lease can be taken on it.
#[derive(Debug)]
pub struct Held {
    app: App,
    name: SlotName,
    dir: Flocked,
}

/// Why a slot cannot be had. It was not touched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SlotError {
    /// A process holds a lease on it.
    Leased {
        /// The slot.
        name: SlotName,
    },
    /// The link leads into it.
    Live {
        /// The slot.
        name: SlotName,
    },
    /// The link is broken, so nobody can say what is live.
    Unsure {
        /// What is wrong with the link.
        why: LiveError,
    },
    /// Leases are locks on the directory, and its file system has none: nobody can say who uses the slot.
    NoLocks {
        /// The slot's directory.
        path: PathBuf,
        /// What the kernel said.
        why: Errno,
    },
    /// It could not be read or opened.
    Unreadable {
        /// What.
        path: PathBuf,
        /// What the kernel said.
        why: Errno,
    },
    /// A link could not be made or removed.
    Unwritten(AtomicError),
}

impl SlotName {
    /// Takes a text as the name of a slot.
    pub fn parse(text: &str) -> Option<SlotName> {
        let (letter, life) = text.split_at_checked(1)?;
        let known = letter.bytes().all(|byte| byte.is_ascii_lowercase());
        let counted = life.is_empty()
            || life.parse::<u32>().is_ok_and(|number| number > 1 && number.to_string() == life);
        (known && counted).then(|| SlotName(text.into()))
    }

    /// The names in the order in which slots are made.
    pub fn first() -> impl Iterator<Item = SlotName> {
        ('a'..='z').map(|letter| SlotName(letter.to_string().into()))
    }

    /// The letter, which stays the same in every life.
    pub fn letter(&self) -> &str {
        self.0.get(..1).unwrap_or_default()
    }

    /// The name of its next life, under which PHP has never seen it: `a2` after `a`.
    pub fn renewed(&self) -> SlotName {
        let life: u32 = self.0.get(1..).and_then(|life| life.parse().ok()).unwrap_or(1);
        SlotName(format!("{}{}", self.letter(), life.saturating_add(1)).into())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Which slot a release stands in; `None`: it has a directory of its own, or stands nowhere.
pub fn of(app: &App, id: &ReleaseId) -> Option<SlotName> {
    let text = rustix::fs::readlink(app.release(id), Vec::new()).ok()?;
    let text = Path::new(std::ffi::OsStr::from_bytes(text.as_bytes()));
    let name = SlotName::parse(text.file_name()?.to_str()?)?;
    if text != App::slot_text(&name) && text != app.slot(&name) {
        return None;
    }
    // releases/ may itself be a link to another disk, and then the way from there is another.
    let (led, meant) = (rustix::fs::stat(app.release(id)).ok()?, rustix::fs::lstat(app.slot(&name)).ok()?);
    ((led.st_dev, led.st_ino) == (meant.st_dev, meant.st_ino)).then_some(name)
}

/// Every slot that there is, by name.
pub fn all(app: &App) -> io::Result<Vec<SlotName>> {
    let entries = match std::fs::read_dir(app.slots()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir()
            && let Some(name) = entry.file_name().to_str().and_then(SlotName::parse)
        {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// The releases whose links lead to this slot: one as a rule, none while it is rewritten.
pub fn named(app: &App, name: &SlotName) -> io::Result<Vec<ReleaseId>> {
    let entries = match std::fs::read_dir(app.releases()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut ids = Vec::new();
    for entry in entries {
        let entry = entry?;
        let id = entry.file_name().to_str().and_then(|id| ReleaseId::parse(id).ok());
        if let Some(id) = id.filter(|id| of(app, id).as_ref() == Some(name)) {
            ids.push(id);
        }
    }
    ids.sort();
    Ok(ids)
}

/// The manifests of the releases that were sealed in a slot and lost it to another: what they consisted of lies in the
/// store and in other slots. One that cannot be read is none.
pub fn stored(app: &App) -> io::Result<Vec<Manifest>> {
    let slots: Vec<TreeId> = all(app)?.iter().filter_map(|name| TreeId::of(&app.slot(name)).ok()).collect();
    if slots.is_empty() {
        return Ok(Vec::new());
    }
    let mut stored = Vec::new();
    let entries = match std::fs::read_dir(app.manifests()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(stored),
        entries => entries?,
    };
    for entry in entries {
        let name = entry?.file_name();
        let Some(id) = name.to_str().and_then(|name| ReleaseId::parse(name).ok()) else { continue };
        if manifest::find(app, &id).is_none()
            && let Ok(Some(manifest)) = manifest::recorded(app, &id)
            && slots.contains(&manifest.tree())
        {
            stored.push(manifest);
        }
    }
    stored.sort_by(|one, other| one.id().cmp(other.id()));
    Ok(stored)
}

/// Makes an empty slot.
pub fn make(app: &App, name: &SlotName) -> Result<(), AtomicError> {
    atomic::make_dir(&app.slot(name))
}

/// Holds a slot exclusively, without waiting.
pub fn hold(app: &App, name: &SlotName) -> Result<Held, SlotError> {
    let path = app.slot(name);
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let dir = openat(CWD, &path, flags, Mode::empty())
        .map(Flocked::new)
        .map_err(|why| SlotError::Unreadable { path: path.clone(), why })?;
    match flock(&dir, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => return Err(SlotError::Leased { name: name.clone() }),
        Err(why) => return Err(SlotError::NoLocks { path, why }),
    }
    let held = Held { app: app.clone(), name: name.clone(), dir };
    held.not_live()?;
    Ok(held)
}

impl Held {
    /// Which slot it is.
    pub fn name(&self) -> &SlotName {
        &self.name
    }

    /// Its open directory.
    pub fn dir(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }

    /// Takes every name away that leads to the slot, and brings that to disk; gives the releases that had one. Undone
    /// if another tool made the link lead here meanwhile.
    pub fn unname(&self, lock: &DeployLock) -> Result<Vec<ReleaseId>, SlotError> {
        debug_assert_eq!(lock.app(), &self.app, "the lock is that of this app");
        self.not_live()?;
        let unread = |error: io::Error| SlotError::Unreadable {
            path: self.app.releases(),
            why: Errno::from_io_error(&error).unwrap_or(Errno::IO),
        };
        let ids = named(&self.app, &self.name).map_err(unread)?;
        // A seal that somebody made for the slot itself would outlast what it was made for.
        if let Ok(own) = ReleaseId::parse(self.name.as_str()) {
            atomic::remove(&self.app.manifest(&own)).map_err(SlotError::Unwritten)?;
        }
        for id in &ids {
            atomic::remove(&self.app.release(id)).map_err(SlotError::Unwritten)?;
        }
        if let Some(id) = self.wanted(&ids) {
            self.give(&id)?;
            return Err(SlotError::Live { name: self.name.clone() });
        }
        Ok(ids)
    }

    /// Gives the slot to a release: the link that says so, on disk when this returns.
    pub fn give(&self, id: &ReleaseId) -> Result<(), SlotError> {
        let place = self.app.release(id);
        atomic::make_dir(&self.app.releases()).map_err(SlotError::Unwritten)?;
        let straight = rustix::fs::stat(self.app.releases().join(App::slot_text(&self.name)))
            .is_ok_and(|led| rustix::fs::fstat(&self.dir).is_ok_and(|own| own.st_ino == led.st_ino));
        let text = if straight { App::slot_text(&self.name) } else { self.app.slot(&self.name) };
        atomic::make_link(&place, &text).map_err(SlotError::Unwritten)
    }

    /// Gives the slot the name of its next life. It keeps its files, and nobody has met their paths yet.
    pub fn renew(&mut self) -> Result<(), SlotError> {
        let mut next = self.name.renewed();
        while rustix::fs::lstat(self.app.slot(&next)).is_ok() {
            next = next.renewed();
        }
        atomic::move_to(&self.app.slot(&self.name), &self.app.slot(&next)).map_err(SlotError::Unwritten)?;
        self.name = next;
        Ok(())
    }

    /// Refuses a slot that is live, and any while it cannot be told what is.
    fn not_live(&self) -> Result<(), SlotError> {
        match live::read(&self.app) {
            Ok(live) if self.is(&live) => Err(SlotError::Live { name: self.name.clone() }),
            Ok(_) | Err(LiveError::Missing { .. }) => Ok(()),
            Err(why) => Err(SlotError::Unsure { why }),
        }
    }

    fn is(&self, live: &Live) -> bool {
        let open = rustix::fs::fstat(&self.dir).map(|stat| (stat.st_dev, stat.st_ino));
        let led = rustix::fs::stat(&live.dir).map(|stat| (stat.st_dev, stat.st_ino));
        open == led
    }

    /// The release of these that the link names though its own link is gone.
    fn wanted(&self, ids: &[ReleaseId]) -> Option<ReleaseId> {
        let releases = live::canonical(&self.app.releases()).unwrap_or_else(|| self.app.releases());
        match live::read(&self.app) {
            Err(LiveError::Dangling { missing, .. }) => {
                ids.iter().find(|id| missing.starts_with(releases.join(id))).cloned()
            }
            Ok(_) | Err(_) => None,
        }
    }
}

/// Takes a release's name away under the deploy lock; its slot keeps the files, its seal stays. Says whether it stood in
/// a slot.
pub fn take_name(lock: &DeployLock, id: &ReleaseId) -> Result<bool, SlotError> {
    let app = lock.app();
    let Some(name) = of(app, id) else { return Ok(false) };
    let held = hold(app, &name)?;
    atomic::remove(&app.release(id)).map_err(SlotError::Unwritten)?;
    if held.wanted(std::slice::from_ref(id)).is_some() {
        held.give(id)?;
        return Err(SlotError::Live { name });
    }
    Ok(true)
}

impl AsRef<Path> for SlotName {
    fn as_ref(&self) -> &Path {
        Path::new(&*self.0)
    }
}

impl fmt::Display for SlotName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Display for SlotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SlotError::Leased { name } => write!(f, "slot {name} is in use: a process holds a lease on it"),
            SlotError::Live { name } => write!(f, "slot {name} is live"),
            SlotError::Unsure { why } => {
                write!(f, "no slot can be taken while it cannot be told which is live: {why}")
            }
            SlotError::NoLocks { path, why } => write!(
                f,
                "nobody can say who uses {}: its file system does not lock directories ({why}), and leases are such locks",
                path.display()
            ),
            SlotError::Unreadable { path, why } => write!(f, "cannot read {}: {why}", path.display()),
            SlotError::Unwritten(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for SlotError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_has_a_letter_and_from_its_second_life_on_a_number() {
        for (text, known) in [
            ("a", true),
            ("z", true),
            ("a2", true),
            ("b17", true),
            ("", false),
            ("A", false),
            ("a1", false),
            ("a02", false),
            ("ab", false),
            ("a-2", false),
            (".new", false),
        ] {
            assert_eq!(SlotName::parse(text).is_some(), known, "{text:?}");
        }
        let a = SlotName::parse("a").unwrap();
        assert_eq!(a.renewed().as_str(), "a2");
        assert_eq!(a.renewed().renewed().as_str(), "a3");
        assert_eq!(SlotName::first().count(), MOST as usize);
    }
}
