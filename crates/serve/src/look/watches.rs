//! Watches: which directories are watched, and for which apps.

use super::Distrust;
use super::queue::{Events, Inotify, Scope};
use rustix::io::Errno;
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

/// File systems on which every change goes through this kernel, which tells of it (statfs(2)): ext2 to 4, xfs, btrfs,
/// tmpfs, zfs, f2fs, bcachefs. Overlay is not among them: what is changed in a layer beneath it is not told.
const TRUSTED: [u64; 7] =
    [0xef53, 0x5846_5342, 0x9123_683e, 0x0102_1994, 0x2fc1_2fc1, 0xf2f5_2010, 0xca45_1a4e];

/// The watches of one queue.
#[derive(Debug, Default)]
pub(super) struct Watches {
    /// By device and inode: a path may lead to another directory the next time. A watch keeps its inode from being
    /// reused, and says when it ends.
    known: HashMap<(u64, u64), i32>,
    watches: HashMap<i32, Watch>,
}

#[derive(Debug)]
struct Watch {
    place: (u64, u64),
    scope: Scope,
    slots: BTreeSet<usize>,
}

/// Whether what was passed is watched.
#[derive(Debug)]
pub(super) enum Cover {
    /// It was already, before it was passed.
    Known,
    /// It is now: pass again.
    New,
    /// It cannot be, or not reliably.
    Distrusted(Distrust),
}

impl Watches {
    /// Has these directories watched for a slot, in full, and all directories above them for being moved; ends the
    /// slot's other watches.
    pub fn cover(&mut self, queue: &Inotify, slot: usize, parents: &[PathBuf]) -> Cover {
        let mut wanted = BTreeSet::new();
        let mut new = false;
        for path in parents {
            match self.add(queue, path, Scope::Names) {
                Ok((watch, added)) => {
                    wanted.insert(watch);
                    new |= added;
                }
                Err(Missed::Changed) => return Cover::New,
                Err(Missed::Distrusted(why)) => return Cover::Distrusted(why),
            }
        }
        for path in parents.iter().flat_map(|path| path.ancestors().skip(1)) {
            match self.add(queue, path, Scope::Itself) {
                Ok((watch, added)) => {
                    wanted.insert(watch);
                    new |= added;
                }
                Err(Missed::Changed) => return Cover::New,
                // Such as /home, which may not be listed. That it is moved away under a running server, and another
                // is put in its place, is the one change that is missed then.
                Err(Missed::Distrusted(_)) => {}
            }
        }
        self.subscribe(queue, slot, &wanted);
        if new { Cover::New } else { Cover::Known }
    }

    /// Ends all watches of a slot that is gone. Their last events, if any, concern nobody.
    pub fn forget(&mut self, slot: usize) {
        for watch in self.watches.values_mut() {
            watch.slots.remove(&slot);
        }
    }

    /// Which slots these events concern; `None`: any.
    pub fn concerned(&mut self, events: &Events) -> Option<BTreeSet<usize>> {
        let mut slots = BTreeSet::new();
        for (id, ended) in &events.watches {
            if let Some(watch) = self.watches.get(id) {
                slots.extend(&watch.slots);
                if *ended {
                    if self.known.get(&watch.place) == Some(id) {
                        self.known.remove(&watch.place);
                    }
                    self.watches.remove(id);
                }
            }
        }
        if events.lost {
            // The end of a watch may be among what was lost: ask the kernel for every one again.
            self.known.clear();
            return None;
        }
        Some(slots)
    }

    /// Watches one directory; says whether that was news to the kernel.
    fn add(&mut self, queue: &Inotify, path: &Path, scope: Scope) -> Result<(i32, bool), Missed> {
        let place = place(path)?;
        if let Some(id) = self.known.get(&place)
            && self.watches.get(id).is_some_and(|watch| watch.scope >= scope)
        {
            return Ok((*id, false));
        }
        if scope == Scope::Names {
            trusted(path)?;
        }
        let id = queue.watch(path, scope).map_err(|why| missed(path, why))?;
        if self::place(path)? != place {
            return Err(Missed::Changed);
        }
        self.known.insert(place, id);
        let watch = self.watches.entry(id).or_insert(Watch { place, scope, slots: BTreeSet::new() });
        watch.place = place;
        watch.scope = watch.scope.max(scope);
        Ok((id, true))
    }

    fn subscribe(&mut self, queue: &Inotify, slot: usize, wanted: &BTreeSet<i32>) {
        let known = &mut self.known;
        self.watches.retain(|id, watch| {
            if wanted.contains(id) {
                watch.slots.insert(slot);
            } else {
                watch.slots.remove(&slot);
            }
            let wanted = !watch.slots.is_empty();
            if !wanted {
                queue.unwatch(*id);
                if known.get(&watch.place) == Some(id) {
                    known.remove(&watch.place);
                }
            }
            wanted
        });
    }
}

enum Missed {
    Changed,
    Distrusted(Distrust),
}

fn place(path: &Path) -> Result<(u64, u64), Missed> {
    rustix::fs::lstat(path).map(|stat| (stat.st_dev, stat.st_ino)).map_err(|why| missed(path, why))
}

fn trusted(path: &Path) -> Result<(), Missed> {
    let magic = rustix::fs::statfs(path).map_err(|why| missed(path, why))?.f_type as u64;
    if TRUSTED.contains(&magic) {
        return Ok(());
    }
    Err(Missed::Distrusted(Distrust::FileSystem { path: path.to_owned(), magic }))
}

fn missed(path: &Path, why: Errno) -> Missed {
    match why {
        Errno::NOENT | Errno::NOTDIR | Errno::LOOP => Missed::Changed,
        Errno::NOSPC => Missed::Distrusted(Distrust::NoWatches),
        why => Missed::Distrusted(Distrust::Unwatchable { path: path.to_owned(), why }),
    }
}
