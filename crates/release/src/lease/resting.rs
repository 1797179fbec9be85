//! Resting: a lease between two uses, for whoever wants it often and for a moment each time.

use super::{Lease, Unheld};
use crate::app::App;
use crate::glance::Glance;
use crate::live::Live;
use rustix::fs::fstat;
use std::time::{SystemTime, UNIX_EPOCH};

/// A release's directory that is held open without a lock on it: it may be pruned, but its inode is not used again.
///
/// In a box, for it goes to and fro with each use.
#[derive(Debug)]
pub struct Resting(Box<Lease>);

/// What was seen of a release, so that the next look at it is a short one.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// When its directory was changed last, if what still has that date was not renamed since.
    unchanged: Option<Changed>,
    /// That the link names it, as long as a glance shows that it still does.
    named: Option<Glance>,
    /// How often the link was read since a glance was tried for.
    readings: u32,
}

/// When a directory was changed last, to the nanosecond: its ctime, which a rename and a removal set too.
type Changed = (i64, u64);

/// A ctime is a tick of the kernel's clock: a second change within a tick does not show in it.
const TICK_S: i64 = 2;

/// What makes a glance possible costs as much as some readings of the link, and lasts for a second: it is done once in
/// so many of them, so that who asks seldom does not pay for it each time.
const READINGS: u32 = 16;

impl Lease {
    /// Gives the lock back and keeps the directory open.
    pub fn rest(self: Box<Self>) -> Resting {
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
    pub fn wake(self) -> Option<Box<Lease>> {
        let mut lease = self.lock()?;
        if lease.why_unheld() == Some(Unheld::Taken) {
            return None;
        }
        let stat = fstat(&lease.dir).ok()?;
        let changed: Changed = (stat.st_ctime, stat.st_ctime_nsec);
        if lease.seen.unchanged == Some(changed) && stat.st_nlink > 0 {
            return Some(lease);
        }
        if !lease.bears_its_name() {
            return None;
        }
        // Whose turn it is in a slot does not show in the slot, nor what became of a directory deeper down.
        let shows = !lease.live.in_slot() && lease.live.below.as_os_str().is_empty();
        lease.seen.unchanged = (shows && seconds_now() - changed.0 > TICK_S).then_some(changed);
        Some(lease)
    }

    /// Takes the lock again if the link still names this release, by one reading of it after the lock was had, or by a
    /// [`Glance`] where that is enough. `None`: it does not, or leads there by several links, or the lock was not to be
    /// had: [`Lease::take_live`] finds out.
    pub fn wake_if_live(self, app: &App) -> Option<Box<Lease>> {
        let mut lease = self.lock()?;
        if lease.seen.named.as_ref().is_some_and(Glance::is_still_so) {
            return Some(lease);
        }
        lease.seen.named = None;
        lease.seen.readings += 1;
        if lease.seen.readings < READINGS {
            return lease.live.still_named(app).then_some(lease);
        }
        lease.seen.readings = 0;
        let before = Glance::begin(app);
        if !lease.live.still_named(app) {
            return None;
        }
        lease.seen.named = before.and_then(|before| before.end(app, &lease));
        Some(lease)
    }

    /// Closes the directory and leaves the lock alone: a process that was forked shares it with its parent, which may
    /// be using it.
    pub fn leave(self) {
        self.0.leave();
    }

    /// The lease, with the lock unless there is none to be had on this file system. Who had to go without because
    /// somebody held it exclusively does not wait for that again.
    fn lock(self) -> Option<Box<Lease>> {
        let lease = self.0;
        (lease.relock() || lease.unheld.is_some()).then_some(lease)
    }
}

/// By the C library's clock: rustix looks for the kernel's own in this process, which valgrind takes away.
fn seconds_now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_secs()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;
    use std::time::{Duration, Instant};

    #[allow(clippy::disallowed_methods, reason = "another tool flips here, by hand")]
    fn flip(app: &App, text: &str) {
        let next = app.root().join("next");
        std::os::unix::fs::symlink(text, &next).unwrap();
        fs::rename(next, app.link()).unwrap();
    }

    /// A resting lease on what is live, used until a glance is enough to see that it still is.
    fn glancing(app: &App) -> Resting {
        let mut resting = Box::new(Lease::take_live(app).unwrap()).rest();
        let began = Instant::now();
        while !resting.0.seen.named.as_ref().is_some_and(Glance::is_still_so) {
            assert!(began.elapsed() < Duration::from_secs(60), "its dates never were old enough");
            std::thread::sleep(Duration::from_millis(1));
            resting = resting.wake_if_live(app).unwrap().rest();
        }
        resting
    }

    #[test]
    fn a_glance_instead_of_a_reading_sees_every_flip_and_a_broken_link() {
        let dir = tempfile::tempdir().unwrap();
        #[allow(clippy::disallowed_methods, reason = "the temporary directory may stand behind a link")]
        let root = dir.path().canonicalize().unwrap();
        for id in ["r1", "r2"] {
            fs::create_dir_all(root.join("releases").join(id)).unwrap();
        }
        let app = App::new(&root, Path::new("current"), &[]).unwrap();
        flip(&app, "releases/r1");
        // Where dates are not trusted there is nothing to see.
        let kind = rustix::fs::statfs(app.root()).unwrap().f_type;
        if !crate::glance::KEEP_DATES.contains(&kind) {
            println!(
                "\nskipped: a_glance_instead_of_a_reading_sees_every_flip_and_a_broken_link: file system {kind:x}\n"
            );
            return;
        }
        for id in ["r2", "r1", "r2"] {
            let resting = glancing(&app);
            flip(&app, &format!("releases/{id}"));
            assert!(resting.wake_if_live(&app).is_none(), "{id} is live");
            assert_eq!(Lease::take_live(&app).unwrap().live().id.as_str(), id);
        }
        let resting = glancing(&app);
        fs::remove_file(app.link()).unwrap();
        assert!(resting.wake_if_live(&app).is_none());
    }
}
