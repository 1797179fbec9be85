//! List: every release of an app, and what is known about each.

use crate::app::App;
use crate::flocked::Flocked;
use crate::history::{self, Event, What};
use crate::id::ReleaseId;
use crate::live;
use crate::manifest::{self, ManifestError};
use crate::slot::{self, SlotName};
use rustix::fs::{CWD, FlockOperation, Mode, OFlags, flock, openat};
use rustix::io::Errno;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// What is known about one release.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Its name.
    pub id: ReleaseId,
    /// Where it bears its name; nothing is there if it is only in the store.
    pub dir: PathBuf,
    /// On what it stands there.
    pub stands: Stands,
    /// Whether it is whole.
    pub seal: Seal,
    /// Whether the link names it.
    pub live: bool,
    /// When it was last made live.
    pub live_since: Option<SystemTime>,
    /// When another took its place, if one did.
    pub left: Option<SystemTime>,
    /// Good, bad, or nothing said.
    pub verdict: Option<What>,
    /// Whether a process holds it.
    pub used: Used,
}

/// On what a release stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stands {
    /// A directory of its own.
    Own,
    /// A slot, in which its turn it is.
    Slot(SlotName),
    /// Nothing: it lost its slot to another. Its manifest says what it consisted of, and the store has that.
    Store,
}

/// Whether a release is sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seal {
    /// It is, and has so many entries.
    Whole {
        /// Files, directories and links, the release itself counted too.
        entries: usize,
    },
    /// It never was.
    Unsealed,
    /// Its manifest cannot be relied on.
    Broken(ManifestError),
}

/// Whether a process holds a release. Stock nginx and FPM hold no leases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Used {
    /// A process has a lease on it.
    Leased,
    /// No process has.
    Free,
    /// It cannot be told: this user may not open it, or the file system has no locks.
    Unknown,
}

/// Every release in `releases/`, and those that lost their slot, sorted by name, with what `events` (see
/// [`history::read`]) say about each.
pub fn releases(app: &App, events: &[Event]) -> std::io::Result<Vec<Listed>> {
    let live = live::read(app).ok();
    let mut listed = Vec::new();
    let entries = match std::fs::read_dir(app.releases()) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(listed),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let Some(id) = name.to_str().and_then(|name| ReleaseId::parse(name).ok()) else { continue };
        let dir = entry.path();
        let (stands, tree) = match slot::of(app, &id) {
            Some(name) => {
                let tree = app.slot(&name);
                (Stands::Slot(name), tree)
            }
            None if entry.file_type()?.is_dir() => (Stands::Own, dir.clone()),
            // No release: what other tools keep beside them, such as a repository cache.
            None => continue,
        };
        listed.push(Listed {
            seal: match manifest::load_at(app, &id, &tree) {
                Ok(Some(manifest)) => Seal::Whole { entries: manifest.len() },
                Ok(None) => Seal::Unsealed,
                Err(error) => Seal::Broken(error),
            },
            live: live
                .as_ref()
                .is_some_and(|live| live.id == id && live::canonical(&dir).as_ref() == Some(&live.dir)),
            live_since: history::when_live(events, &id),
            left: history::when_left(events, &id),
            verdict: history::verdict(events, &id),
            used: used(&tree),
            id,
            dir,
            stands,
        });
    }
    for manifest in slot::stored(app)? {
        let id = manifest.id().clone();
        listed.push(Listed {
            dir: app.release(&id),
            stands: Stands::Store,
            seal: Seal::Whole { entries: manifest.len() },
            live: false,
            live_since: history::when_live(events, &id),
            left: history::when_left(events, &id),
            verdict: history::verdict(events, &id),
            used: Used::Free,
            id,
        });
    }
    listed.sort_by(|one, other| one.id.cmp(&other.id));
    Ok(listed)
}

/// Whether a process holds the release at this path. Asks by taking the exclusive lock for a moment; pinners and
/// flips that meet it try again.
pub fn used(dir: &Path) -> Used {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let Ok(dir) = openat(CWD, dir, flags, Mode::empty()).map(Flocked::new) else { return Used::Unknown };
    match flock(&dir, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Used::Free,
        Err(Errno::WOULDBLOCK) => Used::Leased,
        Err(_) => Used::Unknown,
    }
}
