//! Resting: a lease between two uses, for whoever wants it often and for a moment each time.

use super::{Lease, Unheld};
use crate::app::App;
use crate::live::Live;
use rustix::fs::fstat;
use rustix::time::{ClockId, clock_gettime};

/// A release's directory that is held open without a lock on it: it may be pruned, but its inode is not used again.
#[derive(Debug)]
pub struct Resting(Lease);

/// When a directory was changed last, to the nanosecond: its ctime, which a rename and a removal set too.
pub(super) type Changed = (i64, u64);

/// A ctime is a tick of the kernel's clock: a second change within a tick does not show in it.
const TICK_S: i64 = 2;

impl Lease {
    /// Gives the lock back and keeps the directory open.
    pub fn rest(self) -> Resting {
        self.unlock();
        Resting(self)
    }
}

impl Resting {
    /// The release as it was when it was leased.
    pub fn live(&self) -> &Live {
        self.0.live()
    }

    /// Takes the lock again, for a caller who was told that it is this release that is wanted. `None`: its name
    /// leads elsewhere now, or somebody holds it exclusively: [`Lease::take`] is patient.
    ///
    /// Two system calls as a rule: what still has its ctime was not renamed. That a directory above it was, is not
    /// seen before something changes in its own.
    pub fn wake(self) -> Option<Lease> {
        let mut lease = self.lock()?;
        if lease.why_unheld() == Some(Unheld::Taken) {
            return None;
        }
        let stat = fstat(&lease.dir).ok()?;
        let changed: Changed = (stat.st_ctime, stat.st_ctime_nsec);
        if lease.unchanged == Some(changed) && stat.st_nlink > 0 {
            return Some(lease);
        }
        if !lease.bears_its_name() {
            return None;
        }
        // Whose turn it is in a slot does not show in the slot, nor what became of a directory deeper down.
        let shows = !lease.live.in_slot() && lease.live.below.as_os_str().is_empty();
        let long_ago = clock_gettime(ClockId::Realtime).tv_sec - changed.0 > TICK_S;
        lease.unchanged = (shows && long_ago).then_some(changed);
        Some(lease)
    }

    /// Takes the lock again if the link still names this release, by one reading of it after the lock was had. `None`:
    /// it does not, or leads there by several links, or the lock was not to be had: [`Lease::take_live`] finds out.
    pub fn wake_if_live(self, app: &App) -> Option<Lease> {
        let lease = self.lock()?;
        lease.live.still_named(app).then_some(lease)
    }

    /// The lease, with the lock unless there is none to be had on this file system. Who had to go without because
    /// somebody held it exclusively does not wait for that again.
    fn lock(self) -> Option<Lease> {
        let lease = self.0;
        (lease.relock() || lease.unheld.is_some()).then_some(lease)
    }
}
