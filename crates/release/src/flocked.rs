//! Flocked: an open file whose lock goes when it is dropped, not merely when it is closed.
//!
//! A process that forks (to run a hook, to start php-fpm) hands its descriptors to the child until the child execs,
//! close-on-exec or not, and a flock lasts until its last descriptor is closed. Unlocking frees it for all of them.

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{FlockOperation, flock};

/// An open file or directory that may be locked.
#[derive(Debug)]
pub(crate) struct Flocked {
    file: OwnedFd,
    handed_on: bool,
}

impl Flocked {
    pub(crate) fn new(file: OwnedFd) -> Flocked {
        Flocked { file, handed_on: false }
    }

    pub(crate) fn fd(&self) -> &OwnedFd {
        &self.file
    }

    /// From now on the lock ends with the last descriptor of it, whichever process has that.
    pub(crate) fn hand_on(&mut self) {
        self.handed_on = true;
    }
}

impl AsFd for Flocked {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Drop for Flocked {
    fn drop(&mut self) {
        if self.handed_on {
            return;
        }
        // Closing follows, which unlocks as a rule: nothing is lost if this fails (as it does without locks).
        flock(&self.file, FlockOperation::Unlock).unwrap_or(());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    #[test]
    fn a_lock_goes_though_a_forked_child_still_has_its_descriptor() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let held = Flocked::new(file.reopen().unwrap().into());
        let childs = held.file.try_clone().unwrap();
        flock(&held, FlockOperation::NonBlockingLockExclusive).unwrap();
        let other = File::open(file.path()).unwrap();
        assert!(flock(&other, FlockOperation::NonBlockingLockShared).is_err());
        drop(held);
        assert!(flock(&other, FlockOperation::NonBlockingLockShared).is_ok());
        drop(childs);
    }

    #[test]
    fn a_lock_that_was_handed_on_goes_with_its_last_descriptor() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut held = Flocked::new(file.reopen().unwrap().into());
        let childs = held.file.try_clone().unwrap();
        flock(&held, FlockOperation::NonBlockingLockShared).unwrap();
        held.hand_on();
        drop(held);
        let other = File::open(file.path()).unwrap();
        assert!(flock(&other, FlockOperation::NonBlockingLockExclusive).is_err());
        drop(childs);
        assert!(flock(&other, FlockOperation::NonBlockingLockExclusive).is_ok());
    }
}
