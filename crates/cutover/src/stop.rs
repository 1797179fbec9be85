//! Stop: Ctrl-C, and what ends a CI job.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// Set by Ctrl-C and by what ends a CI job: before the flip the deploy is then undone. A second time ends at once, and
/// the next command tidies up.
pub fn told_to_stop() -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        // The order matters: the first time sets the flag only after it was looked at. What cannot be registered
        // leaves the signal as it is: it ends the process, and the next command tidies up.
        drop(signal_hook::flag::register_conditional_shutdown(signal, 1, Arc::clone(&stop)));
        drop(signal_hook::flag::register(signal, Arc::clone(&stop)));
    }
    stop
}
