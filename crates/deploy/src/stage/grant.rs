//! Granting: places in a release that the pool's user may write, by an ACL, or by giving them to that user.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use release::App;
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Uid, fchown, fstat, openat};
use rustix::io::Errno;

use crate::stage::create::{Creator, open_below, open_dir};
use crate::stage::rules::Rules;
use crate::stage::shared::{make_below, shared_home};
use crate::stage::{StageError, acl, unwritten};

/// The writable places as paths below the release.
pub(crate) fn places(rules: &Rules) -> Vec<&[u8]> {
    rules.writable.iter().map(|path| path.as_os_str().as_bytes()).collect()
}

/// Makes the writable places, and lets the pool's user write to them and to all that is in them. Of shared places only
/// the directory itself is touched: what is in it is the application's.
pub(crate) fn all(
    app: &App,
    rules: &Rules,
    creator: &Creator,
    release: &OwnedFd,
    dir: &Path,
) -> Result<(), StageError> {
    let pool = rules.pool.filter(|uid| *uid != creator.owner().uid && *uid != 0);
    for path in &rules.writable {
        if let Some(home) = shared_home(app, rules, path) {
            shared(rules, creator, pool, &home)?;
            continue;
        }
        let bytes = path.as_os_str().as_bytes();
        let full = dir.join(path);
        let open = match open_below(release, bytes, OFlags::RDONLY | OFlags::NONBLOCK) {
            Err(Errno::NOENT) => {
                make_below(creator, release, dir, bytes)?;
                open_below(release, bytes, OFlags::RDONLY | OFlags::DIRECTORY)
            }
            opened => opened,
        };
        let open = open.map_err(unwritten(&full))?;
        if let Some(uid) = pool {
            deep(open, &full, uid, creator)?;
        }
    }
    Ok(())
}

fn shared(rules: &Rules, creator: &Creator, pool: Option<u32>, home: &Path) -> Result<(), StageError> {
    if rustix::fs::stat(home).is_err() {
        release::atomic::make_dir(home)?;
        let made = open_dir(CWD, home).map_err(unwritten(home))?;
        let creator = Creator::new(rules.owner(), &made).map_err(unwritten(home))?;
        creator.finish_dir(&made, 0o755).map_err(unwritten(home))?;
    }
    let Some(uid) = pool else { return Ok(()) };
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let open = openat(CWD, home, flags, Mode::empty()).map_err(unwritten(home))?;
    match one(&open, uid, creator) {
        // Somebody else's, as a place on another disk may be: they have set it up as it should be.
        Err(Errno::PERM | Errno::ROFS | Errno::OPNOTSUPP) => Ok(()),
        granted => granted.map_err(|why| StageError::NoGrant { path: home.to_owned(), uid, why }),
    }
}

/// Grants one thing and all that is in it; links are passed over.
fn deep(open: OwnedFd, full: &Path, uid: u32, creator: &Creator) -> Result<(), StageError> {
    let no_grant = |path: &Path, why| StageError::NoGrant { path: path.to_owned(), uid, why };
    let mut todo: Vec<(OwnedFd, PathBuf)> = vec![(open, full.to_owned())];
    while let Some((open, path)) = todo.pop() {
        one(&open, uid, creator).map_err(|why| no_grant(&path, why))?;
        let stat = fstat(&open).map_err(|why| no_grant(&path, why))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            continue;
        }
        for entry in Dir::read_from(&open).map_err(|why| no_grant(&path, why))? {
            let entry = entry.map_err(|why| no_grant(&path, why))?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let below = path.join(OsStr::from_bytes(name.to_bytes()));
            let stat = rustix::fs::statat(&open, name, AtFlags::SYMLINK_NOFOLLOW)
                .map_err(|why| no_grant(&below, why))?;
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory => {
                    let next =
                        openat(&open, name, flags, Mode::empty()).map_err(|why| no_grant(&below, why))?;
                    todo.push((next, below));
                }
                FileType::RegularFile => {
                    let file =
                        openat(&open, name, flags, Mode::empty()).map_err(|why| no_grant(&below, why))?;
                    one(&file, uid, creator).map_err(|why| no_grant(&below, why))?;
                }
                FileType::Symlink
                | FileType::Fifo
                | FileType::Socket
                | FileType::CharacterDevice
                | FileType::BlockDevice
                | FileType::Unknown => {}
            }
        }
    }
    Ok(())
}

fn one(open: &OwnedFd, uid: u32, creator: &Creator) -> Result<(), Errno> {
    release::atomic::effect();
    match acl::grant(open, uid, creator.owner().uid) {
        // No ACLs here: the pool's user gets it, which only root can do.
        Err(Errno::OPNOTSUPP) => fchown(open, Some(Uid::from_raw(uid)), None),
        granted => granted,
    }
}

/// Whether a path is `place` or lies below it.
pub(crate) fn lies_in(path: &[u8], place: &[u8]) -> bool {
    path.strip_prefix(place).is_some_and(|rest| place.is_empty() || rest.is_empty() || rest.starts_with(b"/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_covers_itself_and_what_is_below() {
        assert!(lies_in(b"a/b", b"a") && lies_in(b"a", b"a") && lies_in(b"x", b""));
        assert!(!lies_in(b"ab", b"a") && !lies_in(b"a", b"a/b"));
    }
}
