//! Opened: descriptors of sealed files of middle size, kept so that the kernel sends them without a copy.
//!
//! Small files go out faster from our memory, in one call with their head. Copying a larger one is as fast only while
//! the processor's caches hold both it and the sockets' buffers: 100 KiB took 26 us of CPU then, and 72 us
//! on the same machine as soon as the clients fell behind. The kernel's way took 28 us in both cases.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::fs::{Stat, fstat};

use crate::tree::beneath::Want;
use crate::tree::place::Place;
use crate::tree::{SealedFile, Tree, What};

/// Files below this size are sent from memory.
pub(crate) const LEAST_BYTES: u64 = 48 * 1024;

/// Descriptors are needed for connections too.
const MOST: usize = 256;

/// A sealed file, open.
pub(crate) struct Opened {
    file: Arc<File>,
    _one: One,
}

/// One of [`MOST`].
struct One(Arc<AtomicUsize>);

impl Opened {
    /// `None`: there are enough of them, or the file is not what was sealed.
    pub(crate) fn open(tree: &Tree, place: &Place, sealed: &SealedFile) -> Option<Opened> {
        let one = One::take(&tree.memory.opened)?;
        let Ok(found) = tree.open(place.clone(), Want::Bytes) else { return None };
        match found.what {
            What::Open(file, stat) if is(&stat, sealed) => Some(Opened { file: Arc::new(file), _one: one }),
            What::Open(..) | What::Dir | What::Sealed(_) | What::Seen => None,
        }
    }

    /// The file, unless somebody wrote to it after all.
    pub(crate) fn unchanged(&self, sealed: &SealedFile) -> Option<Arc<File>> {
        let stat = fstat(&self.file).ok()?;
        is(&stat, sealed).then(|| Arc::clone(&self.file))
    }
}

/// Whether size and time of change are those that were sealed.
fn is(stat: &Stat, sealed: &SealedFile) -> bool {
    let mtime_ns = i128::from(stat.st_mtime) * 1_000_000_000 + i128::from(stat.st_mtime_nsec);
    u64::try_from(stat.st_size) == Ok(sealed.size) && mtime_ns == i128::from(sealed.mtime_ns)
}

impl One {
    fn take(count: &Arc<AtomicUsize>) -> Option<One> {
        let more = |open| (open < MOST).then_some(open + 1);
        count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(One(Arc::clone(count)))
    }
}

impl Drop for One {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
