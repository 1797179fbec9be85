//! DeployLock: only one command at a time changes an app's releases.
//!
//! A flock on `.cutover/lock`: freed by the kernel however its holder ends. Close-on-exec, so a daemon that a hook
//! starts does not inherit it.

use crate::app::App;
use crate::atomic::{self, AtomicError};
use crate::flocked::Flocked;
use rustix::fd::OwnedFd;
use rustix::fs::{CWD, FlockOperation, Mode, OFlags, flock, openat};
use rustix::io::Errno;
use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The deploy lock of one app, held until dropped.
#[derive(Debug)]
pub struct DeployLock {
    app: App,
    _file: Flocked,
}

/// Why the deploy lock was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LockError {
    /// Another command holds it.
    Held {
        /// Its process id, where it could be told.
        by: Option<u32>,
    },
    /// The lock's file could not be opened or locked.
    Unusable {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        why: Errno,
    },
    /// Its directory could not be made.
    Unwritten(AtomicError),
}

impl DeployLock {
    /// Takes the lock, waiting for it at most so long.
    pub fn take(app: &App, wait: Duration) -> Result<DeployLock, LockError> {
        atomic::make_dir(&app.state()).map_err(LockError::Unwritten)?;
        let path = app.lock();
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file = openat(CWD, &path, flags, Mode::from_raw_mode(0o644)).map_err(unusable(&path))?;
        let until = Instant::now() + wait;
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => break,
                Err(Errno::WOULDBLOCK | Errno::INTR) if Instant::now() < until => {
                    std::thread::sleep(Duration::from_millis(10));
                }
                Err(Errno::WOULDBLOCK) => return Err(LockError::Held { by: holder(&file) }),
                Err(why) => return Err(unusable(&path)(why)),
            }
        }
        // For the message of whoever is refused; the lock itself is the kernel's.
        let pid = format!("{:<10}\n", std::process::id());
        rustix::io::pwrite(&file, pid.as_bytes(), 0).map_err(unusable(&path))?;
        Ok(DeployLock { app: app.clone(), _file: Flocked(file) })
    }

    /// The app whose lock this is.
    pub fn app(&self) -> &App {
        &self.app
    }
}

fn holder(file: &OwnedFd) -> Option<u32> {
    let mut text = [0; 16];
    let n = rustix::io::pread(file, &mut text, 0).ok()?;
    std::str::from_utf8(text.get(..n)?).ok()?.trim().parse().ok()
}

fn unusable(path: &std::path::Path) -> impl FnOnce(Errno) -> LockError {
    let path = path.to_owned();
    move |why| LockError::Unusable { path, why }
}

impl fmt::Display for LockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LockError::Held { by: Some(pid) } => {
                write!(f, "another command (process {pid}) is changing this app; try again when it is done")
            }
            LockError::Held { by: None } => {
                write!(f, "another command is changing this app; try again when it is done")
            }
            LockError::Unusable { path, why } => write!(f, "cannot lock {}: {why}", path.display()),
            LockError::Unwritten(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for LockError {}
