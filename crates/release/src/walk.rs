//! Walk: a path followed link by link, noting where each link stands.
//!
//! `realpath` gives only the end; whoever watches for changes also has to know every directory where one could be made.

use rustix::fs::{CWD, readlinkat};
use rustix::io::Errno;
use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// As many links as the kernel follows in one path (path_resolution(7)).
const MAX_LINKS: u32 = 40;

/// The footprints of a walk.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    /// How many links were followed.
    pub links: u32,
    /// The directories in which a link stood, or in which something was missing; each once.
    pub parents: Vec<PathBuf>,
    /// The links that were followed, as canonical paths of their own, in order.
    pub passed: Vec<PathBuf>,
}

/// Where a walk ended early.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Lost {
    /// More than 40 links.
    Loop,
    /// This is not there.
    Missing(PathBuf),
    /// This is in the middle of the path and no directory.
    NotADirectory(PathBuf),
    /// This could not be read.
    Unreadable(PathBuf, Errno),
}

impl Walk {
    /// Follows `path`, which is absolute or relative to the canonical directory `from`; gives the canonical path
    /// of what it leads to, which existed when it was passed.
    pub fn follow(&mut self, from: &Path, path: &Path) -> Result<PathBuf, Lost> {
        let mut here = from.to_owned();
        let mut ahead: VecDeque<OsString> = VecDeque::new();
        step_onto(&mut ahead, &mut here, path);
        while let Some(part) = ahead.pop_front() {
            if part.as_bytes() == b".." {
                here.pop();
                continue;
            }
            let next = here.join(&part);
            match readlinkat(CWD, &next, Vec::new()) {
                Ok(text) => {
                    self.links += 1;
                    if self.links > MAX_LINKS {
                        return Err(Lost::Loop);
                    }
                    self.note(&here);
                    self.passed.push(next);
                    step_onto(&mut ahead, &mut here, Path::new(OsStr::from_bytes(text.as_bytes())));
                }
                Err(Errno::INVAL) => here = next,
                Err(Errno::NOENT) => {
                    self.note(&here);
                    return Err(Lost::Missing(next));
                }
                Err(Errno::NOTDIR) => return Err(Lost::NotADirectory(here)),
                Err(Errno::LOOP) => return Err(Lost::Loop),
                Err(why) => return Err(Lost::Unreadable(next, why)),
            }
        }
        Ok(here)
    }

    /// Notes a directory whose changes may change the answer.
    pub fn note(&mut self, dir: &Path) {
        if !self.parents.iter().any(|known| known == dir) {
            self.parents.push(dir.to_owned());
        }
    }
}

/// Puts the steps of `path` before those that are still ahead.
fn step_onto(ahead: &mut VecDeque<OsString>, here: &mut PathBuf, path: &Path) {
    if path.is_absolute() {
        *here = PathBuf::from("/");
    }
    for part in path.components().rev() {
        match part {
            Component::Normal(name) => ahead.push_front(name.to_owned()),
            Component::ParentDir => ahead.push_front("..".into()),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
}
