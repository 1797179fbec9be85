//! Sharing: whether releases share an unchanged file as one inode, as a clone, or not at all.

use config::host::LinkMode;
use release::atomic;
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, Mode, OFlags, ioctl_ficlone, linkat, openat, unlinkat};
use rustix::io::Errno;

use crate::stage::StageError;
use crate::stage::rules::Rules;
use crate::store::Store;
use crate::store::index::Fate;

/// How an unchanged file gets into the next release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sharing {
    /// As a further name of its blob. A write through one name would change every release.
    Links {
        /// Whether it was asked for by name, so that files that others may write are shared too.
        asked: bool,
    },
    /// As a clone of its blob: the same blocks on disk, until one of the two is written to.
    Clones,
    /// Copied.
    Nothing,
}

impl Sharing {
    /// What becomes of a file that is written anew.
    pub fn unlinked(self) -> Sharing {
        match self {
            // A slot's files get other times than those of other slots, so they are not one inode.
            Sharing::Links { .. } | Sharing::Nothing => Sharing::Nothing,
            Sharing::Clones => Sharing::Clones,
        }
    }

    pub fn fate(self) -> Fate {
        match self {
            Sharing::Links { .. } => Fate::Fresh,
            Sharing::Clones => Fate::FreshToClone,
            Sharing::Nothing => Fate::Private,
        }
    }
}

/// Decides by the configuration, and by trying what the file system can do between the store and the release.
pub(crate) fn settle(rules: &Rules, store: &Store, release: &OwnedFd) -> Result<Sharing, StageError> {
    let refused = |mode, why| StageError::NoSharing { mode, path: store.path().to_owned(), why };
    match rules.link_mode {
        LinkMode::Copy => Ok(Sharing::Nothing),
        LinkMode::Reflink => {
            try_clone(store, release).map(|()| Sharing::Clones).map_err(|why| refused("reflink", why))
        }
        LinkMode::Hardlink => try_link(store, release)
            .map(|()| Sharing::Links { asked: true })
            .map_err(|why| refused("hardlink", why)),
        LinkMode::Auto if try_clone(store, release).is_ok() => Ok(Sharing::Clones),
        LinkMode::Auto if rules.nobody_writes() && try_link(store, release).is_ok() => {
            Ok(Sharing::Links { asked: false })
        }
        LinkMode::Auto => Ok(Sharing::Nothing),
    }
}

const PROBE: &str = ".cutover-probe";

fn try_clone(store: &Store, release: &OwnedFd) -> Result<(), Errno> {
    probe(store, release, |file| {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let to = openat(release, PROBE, flags, Mode::from_raw_mode(0o600))?;
        ioctl_ficlone(&to, file)
    })
}

fn try_link(store: &Store, release: &OwnedFd) -> Result<(), Errno> {
    probe(store, release, |_| linkat(store.dir(), PROBE, release, PROBE, AtFlags::empty()))
}

/// Makes a file in the store, tries something on it that may make one in the release, and removes both.
fn probe(
    store: &Store,
    release: &OwnedFd,
    tried: impl FnOnce(&OwnedFd) -> Result<(), Errno>,
) -> Result<(), Errno> {
    atomic::effect();
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file = openat(store.dir(), PROBE, flags, Mode::from_raw_mode(0o600))?;
    // A clone of nothing succeeds where one of something would not.
    rustix::io::write(&file, b"cutover")?;
    let outcome = tried(&file);
    for dir in [release, store.dir()] {
        match unlinkat(dir, PROBE, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(why) => return Err(why),
        }
    }
    outcome
}
