//! Flip: makes a release live by one rename of the link.
//!
//! The effects on disk, in order: leftovers of killed flips removed; the new link made beside the old one; the new
//! link renamed over it; the directory synced. Killed before the rename, the old release is live; after it, the new.

use crate::app::App;
use crate::atomic::{self, AtomicError, NewLink};
use crate::flocked::Flocked;
use crate::id::ReleaseId;
use crate::live::{self, Live, LiveError};
use crate::manifest::{Sealed, TreeId, find};
use crate::slot;
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, CWD, FlockOperation, Mode, OFlags, flock, fstat, openat, statat};
use rustix::io::Errno;
use std::fmt;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, Instant};

/// What is to be made live.
#[derive(Clone, Debug)]
pub enum Target {
    /// A release with the proof of its seal (see [`crate::manifest::sealed`]).
    Sealed(Sealed),
    /// A release that is not sealed: somebody said `--force`, and it is said aloud.
    Forced(ReleaseId),
}

/// A flip that was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flipped {
    /// What was live before, if anything was.
    pub from: Option<ReleaseId>,
    /// What is live now.
    pub to: ReleaseId,
    /// From the making of the new link to the synced directory.
    pub took: Duration,
}

/// Why a flip was not done. Unless it is [`FlipError::NotSynced`], what was live before still is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FlipError {
    /// There is no release of this name.
    NoRelease {
        /// The release.
        id: ReleaseId,
    },
    /// Something else stands where the link should; it is not touched.
    NotALink {
        /// The link.
        link: PathBuf,
        /// What it is.
        is: &'static str,
    },
    /// Somebody holds the release exclusively: it is being pruned.
    Locked {
        /// The release.
        id: ReleaseId,
    },
    /// The release was replaced since its seal was looked at.
    Replaced {
        /// The release.
        id: ReleaseId,
    },
    /// A link with this text would not lead to the release.
    Astray {
        /// The release.
        id: ReleaseId,
        /// The text of the link.
        text: PathBuf,
    },
    /// Something could not be read or opened.
    Unreadable {
        /// What.
        path: PathBuf,
        /// What the kernel said.
        why: Errno,
    },
    /// The new link could not be made or put in place.
    Unwritten(AtomicError),
    /// The new release **is live**, but a power loss may still undo it.
    NotSynced {
        /// What is live now.
        to: ReleaseId,
        /// What failed.
        why: AtomicError,
    },
}

/// How long a flip tries for the shared lock on its target.
const PATIENCE: Duration = Duration::from_millis(500);
/// How often a new link is made again when somebody removed it before it was put in place.
const ATTEMPTS: usize = 8;

/// Makes a release live.
///
/// Takes no deploy lock: concurrent flips are safe, who may flip is the caller's policy. The target is held by a
/// shared lock meanwhile, so that it is not pruned between the look at it and the rename. The link keeps its style,
/// relative or absolute, and its way into the release, if it has one; a first link is relative.
pub fn flip(app: &App, target: Target) -> Result<Flipped, FlipError> {
    let id = match &target {
        Target::Sealed(sealed) => sealed.id().clone(),
        Target::Forced(id) => id.clone(),
    };
    let Hold { dir, named, open: held } = hold(app, &target, &id)?;
    let before = before(app)?;
    let place = live::canonical(app.link_parent())
        .ok_or_else(|| FlipError::Unreadable { path: app.link_parent().to_owned(), why: Errno::NOENT })?;
    let text = text(app, before.as_ref(), &place, &named);
    let below =
        before.as_ref().map(|live| live.below.as_path()).filter(|below| !below.as_os_str().is_empty());
    let wanted = match below {
        Some(below) => statat(&held, below, AtFlags::empty()).map_err(unreadable(&dir.join(below)))?,
        None => fstat(&held).map_err(unreadable(&dir))?,
    };
    let link = place.join(app.link().file_name().unwrap_or_default());
    let parent = open_dir(&place)?;
    atomic::sweep(&place);

    let start = Instant::now();
    put(&parent, &link, &text, (wanted.st_dev, wanted.st_ino), &id)?;
    atomic::sync_dir(&parent, &place).map_err(|why| FlipError::NotSynced { to: id.clone(), why })?;
    Ok(Flipped { from: before.map(|live| live.id), to: id, took: start.elapsed() })
}

/// Makes the new link, looks where it leads, and only then puts it in place.
fn put(
    parent: &OwnedFd,
    link: &Path,
    text: &Path,
    wanted: (u64, u64),
    id: &ReleaseId,
) -> Result<(), FlipError> {
    use rustix::fd::AsFd;
    let mut lost = None;
    for _ in 0..ATTEMPTS {
        let new: NewLink<'_> = atomic::new_link(parent.as_fd(), link, text).map_err(FlipError::Unwritten)?;
        match new.leads_to() {
            Ok(led) if led == wanted => {}
            Ok(_) | Err(_) => {
                new.discard();
                return Err(FlipError::Astray { id: id.clone(), text: text.to_owned() });
            }
        }
        match new.put_in_place() {
            Ok(()) => return Ok(()),
            // A sweep in another process id namespace took our new link for a leftover.
            Err(error) if error.why == Errno::NOENT => lost = Some(error),
            Err(error) => return Err(FlipError::Unwritten(error)),
        }
    }
    match lost {
        Some(error) => Err(FlipError::Unwritten(error)),
        None => Err(FlipError::Astray { id: id.clone(), text: text.to_owned() }),
    }
}

/// The target, held.
struct Hold {
    /// Its own directory: canonical.
    dir: PathBuf,
    /// Where it bears its name: `dir`, or the link in `releases/` that leads to its slot.
    named: PathBuf,
    /// Its directory, open and share-locked.
    open: Flocked,
}

/// Finds the target and holds it.
fn hold(app: &App, target: &Target, id: &ReleaseId) -> Result<Hold, FlipError> {
    let place = match target {
        Target::Sealed(sealed) => sealed.dir().to_owned(),
        Target::Forced(id) => find(app, id).ok_or_else(|| FlipError::NoRelease { id: id.clone() })?,
    };
    let dir = live::canonical(&place).ok_or_else(|| FlipError::NoRelease { id: id.clone() })?;
    let open = Flocked::new(open_dir(&dir)?);
    let until = Instant::now() + PATIENCE;
    loop {
        match flock(&open, FlockOperation::NonBlockingLockShared) {
            Ok(()) => break,
            Err(Errno::WOULDBLOCK | Errno::INTR) if Instant::now() < until => {
                std::thread::sleep(Duration::from_millis(1));
            }
            Err(Errno::WOULDBLOCK) => return Err(FlipError::Locked { id: id.clone() }),
            // A file system without locks (some NFS) has no leases either; prune goes by age there.
            Err(_) => break,
        }
    }
    let tree = TreeId::of_dir(open.fd()).map_err(unreadable(&dir))?;
    let sealed_as = match target {
        Target::Sealed(sealed) => sealed.tree(),
        Target::Forced(_) => tree,
    };
    // Looked at after the lock: a pruner may have renamed it away before.
    if sealed_as != tree || TreeId::of(&dir) != Ok(tree) {
        return Err(FlipError::Replaced { id: id.clone() });
    }
    let Some(slot) = slot::of(app, id) else {
        return match place.starts_with(app.slots()) && place.file_name() != Some(id.as_str().as_ref()) {
            // It lost its slot between the look at its seal and the lock.
            true => Err(FlipError::Replaced { id: id.clone() }),
            false => Ok(Hold { named: dir.clone(), dir, open }),
        };
    };
    let releases = live::canonical(&app.releases());
    match releases.filter(|_| live::canonical(&app.slot(&slot)).as_ref() == Some(&dir)) {
        Some(releases) => Ok(Hold { named: releases.join(id), dir, open }),
        None => Err(FlipError::Replaced { id: id.clone() }),
    }
}

/// What is live before the flip. A broken link is replaced; anything but a link is not.
fn before(app: &App) -> Result<Option<Live>, FlipError> {
    match live::read(app) {
        Ok(live) => Ok(Some(live)),
        Err(LiveError::NotALink { link, is }) => Err(FlipError::NotALink { link, is }),
        Err(LiveError::Unreadable { path, why }) => Err(FlipError::Unreadable { path, why }),
        Err(
            LiveError::Missing { .. }
            | LiveError::Dangling { .. }
            | LiveError::NotADirectory { .. }
            | LiveError::Loop { .. }
            | LiveError::Outside { .. }
            | LiveError::BadName { .. },
        ) => Ok(None),
    }
}

/// The new link's text, in the style of the old one.
fn text(app: &App, before: Option<&Live>, place: &Path, dir: &Path) -> PathBuf {
    if let Some(live) = before {
        if live.is_straight()
            && let Some(text) = same_form(live, dir)
        {
            return text;
        }
        let relative = live.text.is_relative();
        return if relative { way(place, dir) } else { dir.to_owned() }.join_if(&live.below);
    }
    // What a broken link says about style is still worth keeping.
    match std::fs::read_link(app.link()) {
        Ok(old) if old.is_absolute() => dir.to_owned(),
        Ok(_) => way(place, dir),
        Err(_) => way(place, dir),
    }
}

/// The old text with nothing but the release's name changed, if the new release stands beside the old one.
fn same_form(live: &Live, dir: &Path) -> Option<PathBuf> {
    if live.place.parent() != dir.parent() {
        return None;
    }
    let tail = Path::new(live.place.file_name()?).join_if(&live.below);
    let mut stem = live.text.clone();
    for part in tail.components().rev() {
        if stem.file_name() != Some(part.as_os_str()) {
            return None;
        }
        stem.pop();
    }
    Some(stem.join(dir.file_name()?).join_if(&live.below))
}

/// The relative way from one canonical directory to another.
fn way(from: &Path, to: &Path) -> PathBuf {
    let shared = from.components().zip(to.components()).take_while(|(one, other)| one == other).count();
    let up = from.components().skip(shared).map(|_| Component::ParentDir);
    up.chain(to.components().skip(shared)).collect()
}

trait JoinIf {
    fn join_if(&self, below: &Path) -> PathBuf;
}

impl JoinIf for Path {
    /// `join`, but without the trailing slash that joining an empty path leaves.
    fn join_if(&self, below: &Path) -> PathBuf {
        if below.as_os_str().is_empty() { self.to_owned() } else { self.join(below) }
    }
}

fn open_dir(path: &Path) -> Result<OwnedFd, FlipError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(CWD, path, flags, Mode::empty()).map_err(unreadable(path))
}

fn unreadable(path: &Path) -> impl FnOnce(Errno) -> FlipError {
    let path = path.to_owned();
    move |why| FlipError::Unreadable { path, why }
}

impl fmt::Display for FlipError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FlipError::NoRelease { id } => write!(f, "there is no release {id}"),
            FlipError::NotALink { link, is } => write!(
                f,
                "{link} is {is}, not a link; it was not touched: move it to releases/ first, and flip to it there",
                link = link.display()
            ),
            FlipError::Locked { id } => write!(f, "release {id} is locked: it is being pruned"),
            FlipError::Replaced { id } => write!(f, "release {id} was replaced since it was sealed"),
            FlipError::Astray { id, text } => {
                write!(f, "a link to {} would not lead to release {id}", text.display())
            }
            FlipError::Unreadable { path, why } => write!(f, "cannot read {}: {why}", path.display()),
            FlipError::Unwritten(error) => error.fmt(f),
            FlipError::NotSynced { to, why } => {
                write!(f, "release {to} is live, but that may not outlast a power loss: {why}")
            }
        }
    }
}

impl std::error::Error for FlipError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn live(text: &str, dir: &str, below: &str) -> Live {
        Live {
            id: ReleaseId::parse("r1").unwrap(),
            text: text.into(),
            dir: dir.into(),
            place: dir.into(),
            below: below.into(),
            dev: 0,
            ino: 0,
            links: 1,
            parents: vec![],
        }
    }

    #[test]
    fn a_link_keeps_its_style() {
        let app = App::new(Path::new("/nowhere/shop"), Path::new("current"), &[]).unwrap();
        for (old, dir, below, new) in [
            ("releases/r1", "/srv/shop/releases/r1", "", "releases/r2"),
            ("./releases/r1", "/srv/shop/releases/r1", "", "./releases/r2"),
            ("/srv/shop/releases/r1", "/srv/shop/releases/r1", "", "/srv/shop/releases/r2"),
            // The absolute text goes through a link (/www -> /srv): it does so afterwards too.
            ("/www/shop/releases/r1", "/srv/shop/releases/r1", "", "/www/shop/releases/r2"),
            ("releases/r1/public", "/srv/shop/releases/r1", "public", "releases/r2/public"),
            ("/opt/r0", "/opt/r0", "", "/srv/shop/releases/r2"),
            ("../../opt/r0", "/opt/r0", "", "releases/r2"),
        ] {
            let before = live(old, dir, below);
            let got = text(&app, Some(&before), Path::new("/srv/shop"), Path::new("/srv/shop/releases/r2"));
            assert_eq!(got, Path::new(new), "{old}");
        }
        let first = text(&app, None, Path::new("/srv/shop"), Path::new("/srv/shop/releases/r2"));
        assert_eq!(first, Path::new("releases/r2"));
    }

    #[test]
    fn the_way_goes_up_and_down() {
        for (from, to, want) in [
            ("/srv/shop", "/srv/shop/releases/r1", "releases/r1"),
            ("/var/www", "/srv/shop/releases/r1", "../../srv/shop/releases/r1"),
            ("/", "/r1", "r1"),
        ] {
            assert_eq!(way(Path::new(from), Path::new(to)), Path::new(want));
        }
    }
}
