//! Glance: that the link cannot have changed since it was read, by a look at the open directory it stands in.
//!
//! Whoever flips changes the directory that the link stands in, and the kernel dates that: its ctime. A date is as
//! coarse as a tick, and it is set a moment before the new link shows. So a date counts only if it was old when the
//! link was read: whatever came later has another one. One `fstat` costs a tenth of reading the link and where it leads.
//!
//! Only on file systems that are known to keep their dates in this kernel, only for a link that is followed at once,
//! and for a second at most: then the link is read again. (So what is no flip is seen within a
//! second: that a directory above the link is another one, or that the release was removed and made anew in its place.)

use crate::app::App;
use crate::lease::Lease;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, Stat, fstat, fstatfs, openat, statat};
use std::time::{SystemTime, UNIX_EPOCH};

/// What was seen when the link was read.
#[derive(Debug)]
pub(crate) struct Glance {
    parent: OwnedFd,
    parent_changed: Changed,
    read_ms: i64,
}

/// Before the link is read: the directory it stands in, and when that was.
#[derive(Debug)]
pub(crate) struct Before {
    parent: Stat,
    now_ms: i64,
}

/// A ctime, to the nanosecond.
type Changed = (i64, u64);

/// How old a date has to be. The kernel takes microseconds from dating a rename until the new name shows, but the
/// process that renames may be stopped in between, or wait for a slow disk.
const OLD_MS: i64 = if cfg!(test) { 100 } else { 10_000 };

/// How long a glance is enough.
const ENOUGH_MS: i64 = 1_000;

/// ext4 (and its forebears), XFS, Btrfs, F2FS, tmpfs: `linux/magic.h`.
pub(crate) const KEEP_DATES: [i64; 5] = [0xEF53, 0x5846_5342, 0x9123_683E, 0xF2F5_2010, 0x0102_1994];

impl Glance {
    /// Notes what there is before the link is read. `None`: a glance would not be enough afterwards.
    pub fn begin(app: &App) -> Option<Before> {
        // The clock first: a change from here on is dated later than this.
        let now_ms = now_ms();
        let parent = statat(CWD, app.link_parent(), AtFlags::empty()).ok()?;
        (now_ms - in_ms(changed(&parent)) >= OLD_MS).then_some(Before { parent, now_ms })
    }

    /// Whether the link cannot have changed since it was read.
    pub fn is_still_so(&self) -> bool {
        (0..ENOUGH_MS).contains(&(now_ms() - self.read_ms))
            && fstat(&self.parent).is_ok_and(|now| changed(&now) == self.parent_changed && now.st_nlink > 0)
    }
}

impl Before {
    /// Once the link was read: a glance is enough from now on. `None`: it is not.
    pub fn end(self, app: &App, lease: &Lease) -> Option<Glance> {
        let live = lease.live();
        // Whose turn it is in a slot does not show in the slot, nor what became of a directory deeper down.
        if !live.is_straight() || live.in_slot() || !live.below.as_os_str().is_empty() {
            return None;
        }
        // A link above it would not show in its own directory's date.
        if crate::live::canonical(app.link_parent()).as_deref() != Some(app.link_parent()) {
            return None;
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let parent = openat(CWD, app.link_parent(), flags, Mode::empty()).ok()?;
        let opened = fstat(&parent).ok()?;
        let before = &self.parent;
        if (opened.st_dev, opened.st_ino, changed(&opened)) != (before.st_dev, before.st_ino, changed(before))
        {
            return None;
        }
        let keeps_dates =
            |dir: &dyn AsFd| fstatfs(dir.as_fd()).is_ok_and(|fs| KEEP_DATES.contains(&fs.f_type));
        (keeps_dates(&parent) && keeps_dates(&lease.dir())).then(|| Glance {
            parent,
            parent_changed: changed(before),
            read_ms: self.now_ms,
        })
    }
}

fn changed(stat: &Stat) -> Changed {
    (stat.st_ctime, stat.st_ctime_nsec)
}

fn in_ms((seconds, nanoseconds): Changed) -> i64 {
    seconds * 1_000 + i64::try_from(nanoseconds / 1_000_000).unwrap_or(0)
}

/// The clock that the kernel dates by, if finer. Set back, it makes dates lie in the future, which are not old.
fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(0)
}
