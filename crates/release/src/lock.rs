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
        /// What it said of itself.
        says: Option<String>,
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
        DeployLock::take_as(app, wait, "")
    }

    /// The same, with a line for whoever is refused meanwhile: who holds it, for what, since when.
    pub fn take_as(app: &App, wait: Duration, says: &str) -> Result<DeployLock, LockError> {
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
                Err(Errno::WOULDBLOCK) => {
                    let (by, says) = holder(&file);
                    return Err(LockError::Held { by, says });
                }
                Err(why) => return Err(unusable(&path)(why)),
            }
        }
        // For the message of whoever is refused; the lock itself is the kernel's.
        let says: String = says.chars().map(|c| if c.is_control() { '?' } else { c }).take(400).collect();
        let text = format!("{:<10}\n{says}\n", std::process::id());
        rustix::io::pwrite(&file, text.as_bytes(), 0).map_err(unusable(&path))?;
        Ok(DeployLock { app: app.clone(), _file: Flocked::new(file) })
    }

    /// The app whose lock this is.
    pub fn app(&self) -> &App {
        &self.app
    }
}

/// The process id and the words of the holder. Words that an earlier one left behind its own are passed over.
fn holder(file: &OwnedFd) -> (Option<u32>, Option<String>) {
    let mut text = [0; 2048];
    let n = rustix::io::pread(file, &mut text, 0).unwrap_or(0);
    let text = String::from_utf8_lossy(text.get(..n).unwrap_or_default()).into_owned();
    let mut lines = text.lines();
    let by = lines.next().and_then(|pid| pid.trim().parse().ok());
    (by, lines.next().filter(|says| !says.is_empty()).map(str::to_owned))
}

fn unusable(path: &std::path::Path) -> impl FnOnce(Errno) -> LockError {
    let path = path.to_owned();
    move |why| LockError::Unusable { path, why }
}

impl fmt::Display for LockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LockError::Held { by, says } => {
                let told = match (by, says) {
                    (Some(pid), Some(says)) => format!(" (process {pid}: {says})"),
                    (Some(pid), None) => format!(" (process {pid})"),
                    (None, Some(says)) => format!(" ({says})"),
                    (None, None) => String::new(),
                };
                write!(f, "another command{told} is changing this app; try again when it is done")
            }
            LockError::Unusable { path, why } => write!(f, "cannot lock {}: {why}", path.display()),
            LockError::Unwritten(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for LockError {}
