//! Follower: a web server that does not look at the link, and has to be told of each flip.

use release::ReleaseId;

/// A web server that has to be told.
pub trait Follower {
    /// Makes all ready for this release to become live. Before the flip, so that a server which refuses leaves the old
    /// release live.
    ///
    /// # Errors
    /// What it said.
    fn prepare(&self, next: &ReleaseId) -> Result<(), String>;

    /// Has it serve what the link names, and returns when it does. Where it does already, nothing is done.
    ///
    /// # Errors
    /// Why it may serve another release still.
    fn follow(&self) -> Result<(), String>;
}
