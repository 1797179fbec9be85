//! Forks: which of a line of forked processes this is, without a system call in each request.

use std::ffi::c_int;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

static FORKS: AtomicU64 = AtomicU64::new(0);

unsafe extern "C" {
    /// pthread_atfork(3). Linked into us, so that what it notes is forgotten when we are unloaded.
    fn pthread_atfork(
        before: Option<extern "C" fn()>,
        in_parent: Option<extern "C" fn()>,
        in_child: Option<extern "C" fn()>,
    ) -> c_int;
}

extern "C" fn in_child() {
    FORKS.fetch_add(1, Relaxed);
}

/// Counts forks from now on; says whether it does.
pub fn count() -> bool {
    // SAFETY: the handler is ours, and only counts.
    unsafe { pthread_atfork(None, None, Some(in_child)) == 0 }
}

/// How many forks lie between this process and the one that loaded us.
pub fn so_far() -> u64 {
    FORKS.load(Relaxed)
}
