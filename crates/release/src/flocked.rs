//! Flocked: an open file whose lock goes when it is dropped, not merely when it is closed.
//!
//! A process that forks (to run a hook, to start php-fpm) hands its descriptors to the child until the child execs,
//! close-on-exec or not, and a flock lasts until its last descriptor is closed. Unlocking frees it for all of them.

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{FlockOperation, flock};

/// An open file or directory that may be locked.
#[derive(Debug)]
pub(crate) struct Flocked(pub OwnedFd);

impl AsFd for Flocked {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Drop for Flocked {
    fn drop(&mut self) {
        // Closing follows, which unlocks as a rule: nothing is lost if this fails (as it does without locks).
        flock(&self.0, FlockOperation::Unlock).unwrap_or(());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    #[test]
    fn a_lock_goes_though_a_forked_child_still_has_its_descriptor() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let held = Flocked(file.reopen().unwrap().into());
        let childs = held.0.try_clone().unwrap();
        flock(&held, FlockOperation::NonBlockingLockExclusive).unwrap();
        let other = File::open(file.path()).unwrap();
        assert!(flock(&other, FlockOperation::NonBlockingLockShared).is_err());
        drop(held);
        assert!(flock(&other, FlockOperation::NonBlockingLockShared).is_ok());
        drop(childs);
    }
}
