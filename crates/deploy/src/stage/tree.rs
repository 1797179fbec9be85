//! Copying a tree: some threads take directories from a common stack, and put what is in each into the release.

use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use release::App;
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, FileType, OFlags, Stat, fstat, readlinkat, statat};
use rustix::io::Errno;

use crate::slot::Base;
use crate::stage::create::{Creator, open_below};
use crate::stage::exclude::Exclude;
use crate::stage::list::each_in;
use crate::stage::put::{Putter, Spot};
use crate::stage::sharing::Sharing;
use crate::stage::{Progress, StageError, Staged, unwritten};
use crate::store::Store;
use crate::store::index::{Index, Rows, time};

/// What is copied, where, and how.
pub(crate) struct Plan<'a> {
    /// The source, for messages.
    pub from: &'a Path,
    /// The release, for messages.
    pub to: &'a Path,
    pub creator: Creator,
    pub sharing: Sharing,
    /// Whether the store may have what is staged.
    pub has_blobs: bool,
    pub exclude: &'a Exclude,
    /// Paths that are not taken over: shared places.
    pub left_out: Vec<&'a [u8]>,
    /// Paths whose files are never shared.
    pub private: Vec<&'a [u8]>,
    /// Directories that are the app's own, should it lie in the source: device and inode.
    pub avoid: Vec<(u64, u64)>,
    pub store: Option<&'a Store>,
    pub index: Option<&'a Index>,
    /// What stands in the slot that is staged for: it is not made again.
    pub base: Option<&'a Base>,
    pub now_ns: i64,
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Copied {
    pub staged: Staged,
    pub rows: Vec<Rows>,
}

/// The app's own directories, by device and inode; those that are not there yet cannot be met.
pub(crate) fn own_dirs(app: &App) -> Vec<(u64, u64)> {
    let dirs = [app.releases(), app.slots(), app.shared(), app.state()];
    let stats = dirs.iter().filter_map(|dir| rustix::fs::stat(dir).ok());
    stats.map(|stat| (stat.st_dev, stat.st_ino)).collect()
}

/// Copies everything below `from` into the empty directory `to`.
pub(crate) fn copy(
    plan: &Plan<'_>,
    from: &OwnedFd,
    to: &OwnedFd,
    progress: &mut dyn FnMut(Progress),
) -> Result<Copied, StageError> {
    let threads = std::thread::available_parallelism().map_or(2, |n| n.get().clamp(2, 4));
    let stack = Stack::default();
    let (files, bytes_copied) = (AtomicU64::new(0), AtomicU64::new(0));
    let work = || {
        let _alarm = Alarm(&stack);
        let mut worker = Worker {
            plan,
            from,
            to,
            stack: &stack,
            putter: Putter::new(plan, &bytes_copied),
            files: &files,
            staged: Staged::default(),
            rows: Rows::default(),
            seen: Vec::new(),
        };
        let outcome = worker.work();
        if outcome.is_err() {
            stack.give_up();
        }
        outcome.map(|()| (worker.staged, worker.rows, worker.seen))
    };
    let files_last_time = plan.index.map_or(0, |index| index.len() as u64);
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        while !stack.wait_done(Duration::from_millis(100)) {
            progress(Progress {
                files: files.load(Ordering::Relaxed),
                files_last_time,
                bytes_copied: bytes_copied.load(Ordering::Relaxed),
            });
        }
        workers.into_iter().map(|worker| worker.join()).collect()
    });
    let mut copied = Copied::default();
    let mut seen = Vec::new();
    for outcome in outcomes {
        let (staged, rows, dirs) = match outcome {
            Ok(outcome) => outcome?,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        copied.staged.files += staged.files;
        copied.staged.dirs += staged.dirs;
        copied.staged.links += staged.links;
        copied.staged.bytes += staged.bytes;
        copied.rows.push(rows);
        seen.extend(dirs);
    }
    copied.staged.bytes_copied = bytes_copied.into_inner();
    unchanged(plan, from, &seen)?;
    progress(Progress {
        files: copied.staged.files,
        files_last_time,
        bytes_copied: copied.staged.bytes_copied,
    });
    Ok(copied)
}

/// Copies one file.
pub(crate) fn copy_one(
    plan: &Plan<'_>,
    from: &OwnedFd,
    to: &OwnedFd,
    name: &OsStr,
) -> Result<(), StageError> {
    let full = plan.from.join(name);
    let text = std::ffi::CString::new(name.as_bytes());
    let name = text.map_err(|_| StageError::Unreadable { path: full.clone(), why: Errno::INVAL })?;
    let stat = statat(from, &name, AtFlags::SYMLINK_NOFOLLOW)
        .map_err(|why| StageError::Unreadable { path: full, why })?;
    let copied = AtomicU64::new(0);
    let spot = Spot { from, to, name: &name, path: name.to_bytes() };
    Putter::new(plan, &copied).put(spot, &stat).map(drop)
}

/// A directory of the source as it was when it was listed.
struct SeenDir {
    path: Vec<u8>,
    mark: (i64, i64),
}

/// Looks at every directory again: a file that came, went or was renamed since would be missing or double.
fn unchanged(plan: &Plan<'_>, from: &OwnedFd, seen: &[SeenDir]) -> Result<(), StageError> {
    for dir in seen {
        let path = || full(plan.from, &dir.path);
        let name: &[u8] = if dir.path.is_empty() { b"." } else { &dir.path };
        let now = statat(from, name, AtFlags::SYMLINK_NOFOLLOW).map(|stat| mark(&stat));
        if now != Ok(dir.mark) {
            return Err(StageError::Changing { path: path() });
        }
    }
    Ok(())
}

fn mark(stat: &Stat) -> (i64, i64) {
    (time(stat.st_mtime, stat.st_mtime_nsec as i64), time(stat.st_ctime, stat.st_ctime_nsec as i64))
}

struct Worker<'w> {
    plan: &'w Plan<'w>,
    from: &'w OwnedFd,
    to: &'w OwnedFd,
    stack: &'w Stack,
    putter: Putter<'w>,
    files: &'w AtomicU64,
    staged: Staged,
    rows: Rows,
    seen: Vec<SeenDir>,
}

impl Worker<'_> {
    fn work(&mut self) -> Result<(), StageError> {
        while let Some(path) = self.stack.take() {
            self.directory(path)?;
            self.stack.done();
        }
        Ok(())
    }

    /// Puts everything that is in a directory into its place; directories in it go onto the stack.
    fn directory(&mut self, mut path: Vec<u8>) -> Result<(), StageError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let from = open_below(self.from, &path, flags).map_err(|why| match why {
            Errno::NOENT | Errno::NOTDIR | Errno::LOOP => StageError::Changing { path: self.source(&path) },
            why => self.unreadable(&path, why),
        })?;
        let to = open_below(self.to, &path, flags).map_err(unwritten(&self.release(&path)))?;
        let stat = fstat(&from).map_err(|why| self.unreadable(&path, why))?;
        self.seen.push(SeenDir { path: path.clone(), mark: mark(&stat) });
        self.staged.dirs += 1;
        let plan = self.plan;
        let failed = |path: &[u8], why| StageError::Unreadable { path: full(plan.from, path), why };
        each_in(&from, &mut path, failed, |name, path| {
            if plan.exclude.covers(path, name.to_bytes()) || plan.left_out.contains(&path) {
                return Ok(());
            }
            self.entry(Spot { from: &from, to: &to, name, path })
        })?;
        // The top has its mode already.
        if !path.is_empty() {
            let mode = stat.st_mode;
            self.plan.creator.finish_dir(&to, mode).map_err(unwritten(&self.release(&path)))?;
        }
        Ok(())
    }

    fn entry(&mut self, spot: Spot<'_>) -> Result<(), StageError> {
        let Spot { from, to, name, path } = spot;
        let stat = statat(from, name, AtFlags::SYMLINK_NOFOLLOW).map_err(|why| match why {
            Errno::NOENT => StageError::Changing { path: self.source(path) },
            why => self.unreadable(path, why),
        })?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => {
                let row = self.putter.put(spot, &stat)?;
                self.rows.add(path, &row);
                self.staged.files += 1;
                self.staged.bytes += row.stamp.size;
                self.files.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
            FileType::Directory if self.plan.avoid.contains(&(stat.st_dev, stat.st_ino)) => Ok(()),
            FileType::Directory => {
                self.plan.creator.dir(to, name.to_bytes()).map_err(unwritten(&self.release(path)))?;
                self.stack.put(path.to_vec());
                Ok(())
            }
            FileType::Symlink => self.link(from, to, name, path),
            other @ (FileType::Fifo
            | FileType::Socket
            | FileType::CharacterDevice
            | FileType::BlockDevice
            | FileType::Unknown) => Err(StageError::Special { path: self.source(path), is: special(other) }),
        }
    }

    fn link(&mut self, from: &OwnedFd, to: &OwnedFd, name: &CStr, path: &[u8]) -> Result<(), StageError> {
        let text = readlinkat(from, name, Vec::new()).map_err(|why| match why {
            Errno::NOENT | Errno::INVAL => StageError::Changing { path: self.source(path) },
            why => self.unreadable(path, why),
        })?;
        self.plan
            .creator
            .link(to, name.to_bytes(), text.as_bytes())
            .map_err(unwritten(&self.release(path)))?;
        self.staged.links += 1;
        Ok(())
    }

    fn unreadable(&self, path: &[u8], why: Errno) -> StageError {
        StageError::Unreadable { path: self.source(path), why }
    }

    fn source(&self, path: &[u8]) -> PathBuf {
        full(self.plan.from, path)
    }

    fn release(&self, path: &[u8]) -> PathBuf {
        full(self.plan.to, path)
    }
}

fn full(top: &Path, path: &[u8]) -> PathBuf {
    top.join(OsStr::from_bytes(path))
}

/// What is neither a file, a directory nor a link.
pub(crate) fn special(kind: FileType) -> &'static str {
    match kind {
        FileType::Fifo => "a fifo",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        FileType::RegularFile | FileType::Directory | FileType::Symlink | FileType::Unknown => {
            "of an unknown type"
        }
    }
}

/// Directories that still have to be copied. Last in, first out, so that it stays small.
struct Stack {
    state: Mutex<State>,
    changed: Condvar,
    ended: Condvar,
}

struct State {
    todo: Vec<Vec<u8>>,
    /// Directories that are in hand or still to do.
    open: usize,
    gave_up: bool,
}

/// Lets the other threads end when one panics.
struct Alarm<'s>(&'s Stack);

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.give_up();
        }
    }
}

impl Default for Stack {
    fn default() -> Stack {
        let state = State { todo: vec![Vec::new()], open: 1, gave_up: false };
        Stack { state: Mutex::new(state), changed: Condvar::new(), ended: Condvar::new() }
    }
}

impl Stack {
    /// The next directory; `None` when all is done, or when another thread failed.
    fn take(&self) -> Option<Vec<u8>> {
        let mut state = self.state();
        loop {
            if state.open == 0 || state.gave_up {
                return None;
            }
            if let Some(path) = state.todo.pop() {
                return Some(path);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn put(&self, path: Vec<u8>) {
        let mut state = self.state();
        state.todo.push(path);
        state.open += 1;
        self.changed.notify_one();
    }

    fn done(&self) {
        let mut state = self.state();
        state.open -= 1;
        if state.open == 0 {
            self.changed.notify_all();
            self.ended.notify_all();
        }
    }

    fn give_up(&self) {
        self.state().gave_up = true;
        self.changed.notify_all();
        self.ended.notify_all();
    }

    /// Waits for the end, at most so long; says whether it came.
    fn wait_done(&self, most: Duration) -> bool {
        let state = self.state();
        let going = |state: &mut State| state.open > 0 && !state.gave_up;
        let (state, _) =
            self.ended.wait_timeout_while(state, most, going).unwrap_or_else(PoisonError::into_inner);
        state.open == 0 || state.gave_up
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
