//! Hold: one request's pin of a release whose lock is there while requests run, and rests while none does.
//!
//! For processes that cannot watch the link: an idle Apache child or PHP worker may stand around for hours, and would
//! keep an old release from being pruned with a lease of its own. So only the directory stays open (its inode cannot be
//! reused), and the lock is taken again, without waiting, when the next request begins.

use crate::app::App;
use crate::glance::Glance;
use crate::lease::Lease;
use crate::live::LiveError;
use crate::pin::{Pinned, Pinner};
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

/// Gives holds of one app: reads the link for every one, and makes the expensive part once per release.
#[derive(Debug)]
pub struct Holder<T> {
    pinner: Pinner<Used<T>>,
    /// What was seen last, if a glance is enough to see that it is still so.
    seen: RwLock<Option<Seen<T>>>,
}

#[derive(Debug)]
struct Seen<T> {
    glance: Glance,
    pin: Arc<Pinned<Used<T>>>,
}

/// One request's hold on one release, until it is dropped.
pub struct Hold<T>(Arc<Pinned<Used<T>>>);

/// What was made for a release, and by how many requests it is used now.
#[derive(Debug)]
struct Used<T> {
    with: T,
    users: Mutex<usize>,
}

/// How often the link may move on between a look and the lock.
const ATTEMPTS: usize = 64;

impl<T> Holder<T> {
    /// A holder for this app; `make` is called once per release, before its first hold is given out.
    pub fn new(app: App, make: impl Fn(&Lease) -> T + Send + Sync + 'static) -> Holder<T> {
        let make = move |lease: &Lease| Used { with: make(lease), users: Mutex::new(0) };
        Holder { pinner: Pinner::new(app, make), seen: RwLock::new(None) }
    }

    /// The app.
    pub fn app(&self) -> &App {
        self.pinner.app()
    }

    /// Whether a release was ever held, so that there is a last one.
    pub fn was_held(&self) -> bool {
        self.pinner.last_good().is_some()
    }

    /// Holds the release that is live now. Strict: the link is read in this call, and again once the lock is there.
    /// Waits at most [`PATIENCE`](crate::lease::PATIENCE), and only if a stranger has locked the release.
    ///
    /// Where nothing has changed for some time, it is enough to see that nothing has: see [`Glance`].
    pub fn hold(&self) -> Result<Hold<T>, LiveError> {
        if let Some(hold) = self.hold_seen() {
            return Ok(hold);
        }
        let before = Glance::begin(self.app());
        let hold = self.hold_read()?;
        let glance = before.and_then(|before| before.end(self.app(), hold.lease()));
        self.note(glance.map(|glance| Seen { glance, pin: Arc::clone(&hold.0) }));
        Ok(hold)
    }

    /// Holds what was seen last, if a glance says that it is still so.
    fn hold_seen(&self) -> Option<Hold<T>> {
        let seen = self.seen.read().unwrap_or_else(PoisonError::into_inner);
        let Seen { glance, pin } = seen.as_ref()?;
        let hold = Hold::begin(Arc::clone(pin))?;
        // After the lock, as every look.
        glance.is_still_so().then_some(hold)
    }

    /// Keeps what was seen; nothing, if a glance is not enough: a release that is gone is not kept open for it.
    fn note(&self, now: Option<Seen<T>>) {
        let was_none = self.seen.read().unwrap_or_else(PoisonError::into_inner).is_none();
        if !was_none || now.is_some() {
            *self.seen.write().unwrap_or_else(PoisonError::into_inner) = now;
        }
    }

    fn hold_read(&self) -> Result<Hold<T>, LiveError> {
        let until = Instant::now() + crate::lease::PATIENCE;
        let mut looked = self.pinner.last_good();
        for _ in 0..ATTEMPTS {
            let pin = match looked.take() {
                Some(pin) => pin,
                None => self.pinner.look_fully().pin?,
            };
            let hold = loop {
                match Hold::begin(Arc::clone(&pin)) {
                    // Whoever has locked it may be deleting it: only what is still named is worth the wait.
                    None if pin.lease.live().still_named(self.app()) && Instant::now() < until => {
                        std::thread::sleep(Duration::from_millis(1));
                    }
                    None => break Hold::begin_unheld(Arc::clone(&pin)),
                    Some(hold) => break hold,
                }
            };
            if pin.lease.live().still_named(self.app()) {
                return Ok(hold);
            }
            // The way to the release may have more links than one look can judge.
            let now = self.pinner.look_fully().pin?;
            if Arc::ptr_eq(&now, &pin) {
                return Ok(hold);
            }
            looked = Some(now);
        }
        Err(LiveError::Dangling { link: self.app().link().to_owned(), missing: self.app().releases() })
    }

    /// Holds the release that was held last, whatever the link says now, if it is still there.
    pub fn hold_last(&self) -> Option<Hold<T>> {
        self.pinner.last_good().and_then(still_there)
    }

    /// Holds the release that the link would lead to if it had this text: what another process read there, before it
    /// broke. It has to lie where the link may lead.
    pub fn hold_as(&self, text: &Path) -> Option<Hold<T>> {
        self.pinner.look_as(Some(text)).pin.ok().and_then(still_there)
    }
}

/// A hold on this release, whatever the link says, if it stands where it did.
fn still_there<T>(pin: Arc<Pinned<Used<T>>>) -> Option<Hold<T>> {
    let hold = Hold::begin(Arc::clone(&pin)).unwrap_or_else(|| Hold::begin_unheld(Arc::clone(&pin)));
    // After the lock: nobody renames it away from now on.
    pin.lease.bears_its_name().then_some(hold)
}

impl<T> Hold<T> {
    /// Counts a user in; `None` if it is the first one and the lock is not to be had now.
    fn begin(pin: Arc<Pinned<Used<T>>>) -> Option<Hold<T>> {
        let mut users = counted(&pin.with.users);
        if *users == 0 && !pin.lease.relock() {
            return None;
        }
        *users += 1;
        drop(users);
        Some(Hold(pin))
    }

    /// Counts a user in though there is no lock.
    fn begin_unheld(pin: Arc<Pinned<Used<T>>>) -> Hold<T> {
        *counted(&pin.with.users) += 1;
        Hold(pin)
    }

    /// The lease, locked as a rule; if not, it knows why.
    pub fn lease(&self) -> &Lease {
        &self.0.lease
    }

    /// What was made for this release.
    pub fn with(&self) -> &T {
        &self.0.with.with
    }

    /// The release's name.
    pub fn id(&self) -> &crate::ReleaseId {
        self.0.id()
    }

    /// The canonical path of the release's directory.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Whether both are holds of one release, made once.
    pub fn same_as(&self, other: &Hold<T>) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl<T> Clone for Hold<T> {
    fn clone(&self) -> Hold<T> {
        Hold::begin_unheld(Arc::clone(&self.0))
    }
}

impl<T> Drop for Hold<T> {
    fn drop(&mut self) {
        let mut users = counted(&self.0.with.users);
        *users -= 1;
        if *users == 0 {
            self.0.lease.unlock();
        }
    }
}

impl<T> fmt::Debug for Hold<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Hold").field(self.id()).finish()
    }
}

fn counted(users: &Mutex<usize>) -> MutexGuard<'_, usize> {
    // Nothing behind this lock can panic half way.
    users.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{FlockOperation, flock};
    use std::fs::{self, File};

    /// An app with these releases, the first one live.
    fn shop(ids: &[&str]) -> (tempfile::TempDir, App) {
        let dir = tempfile::tempdir().unwrap();
        #[allow(clippy::disallowed_methods, reason = "the temporary directory may stand behind a link")]
        let root = dir.path().canonicalize().unwrap();
        for id in ids {
            fs::create_dir_all(root.join("releases").join(id)).unwrap();
        }
        let app = App::new(&root, Path::new("current"), &[]).unwrap();
        flip(&app, ids[0]);
        (dir, app)
    }

    #[allow(clippy::disallowed_methods, reason = "another tool flips here, by hand")]
    fn flip(app: &App, id: &str) {
        let next = app.root().join("next");
        std::os::unix::fs::symlink(Path::new("releases").join(id), &next).unwrap();
        fs::rename(next, app.link()).unwrap();
    }

    fn prunable(app: &App, id: &str) -> bool {
        let dir = File::open(app.releases().join(id)).unwrap();
        flock(&dir, FlockOperation::NonBlockingLockExclusive).is_ok()
    }

    #[test]
    fn a_release_is_locked_exactly_while_somebody_holds_it() {
        let (_dir, app) = shop(&["r1", "r2"]);
        let holder = Holder::new(app.clone(), |_| ());
        assert!(prunable(&app, "r1"));
        let first = holder.hold().unwrap();
        let second = holder.hold().unwrap();
        assert!(first.same_as(&second));
        drop(first);
        assert!(!prunable(&app, "r1"));
        drop(second);
        assert!(prunable(&app, "r1"), "an idle process keeps nothing");
        let again = holder.hold().unwrap();
        assert!(!prunable(&app, "r1"));
        drop(again);
    }

    /// Holds until a glance is enough.
    fn until_a_glance_is_enough(holder: &Holder<()>) {
        let began = Instant::now();
        while holder.seen.read().unwrap().is_none() {
            holder.hold().unwrap();
            assert!(began.elapsed() < Duration::from_secs(60), "its dates never were old enough");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn a_glance_sees_every_flip() {
        let (_dir, app) = shop(&["r1", "r2"]);
        // Where dates are not trusted there is nothing to see.
        let kind = rustix::fs::statfs(app.root()).unwrap().f_type;
        if !crate::glance::KEEP_DATES.contains(&kind) {
            println!("\nskipped: a_glance_sees_every_flip: file system {kind:x}\n");
            return;
        }
        let holder = Holder::new(app.clone(), |_| ());
        for id in ["r2", "r1", "r2"] {
            until_a_glance_is_enough(&holder);
            assert!(holder.hold_seen().is_some());
            flip(&app, id);
            assert!(holder.hold_seen().is_none());
            assert_eq!(holder.hold().unwrap().id().as_str(), id);
        }
        until_a_glance_is_enough(&holder);
        fs::remove_file(app.link()).unwrap();
        assert!(holder.hold().is_err());
    }

    #[test]
    fn a_hold_stays_with_its_release_and_the_next_one_follows_the_link() {
        let (_dir, app) = shop(&["r1", "r2"]);
        let holder = Holder::new(app.clone(), |lease| lease.live().id.to_string());
        let before = holder.hold().unwrap();
        flip(&app, "r2");
        let after = holder.hold().unwrap();
        assert_eq!((before.with().as_str(), after.with().as_str()), ("r1", "r2"));
        drop(after);
        assert!(prunable(&app, "r2") && !prunable(&app, "r1"));
    }

    #[test]
    fn a_release_that_was_removed_and_made_again_is_another_one() {
        let (_dir, app) = shop(&["r1", "r2"]);
        let holder = Holder::new(app.clone(), |_| ());
        let before = holder.hold().unwrap();
        fs::remove_dir(app.releases().join("r1")).unwrap();
        fs::create_dir(app.releases().join("r1")).unwrap();
        assert!(!holder.hold().unwrap().same_as(&before));
    }

    #[test]
    fn the_last_one_is_held_when_the_link_breaks_as_long_as_it_is_there() {
        let (_dir, app) = shop(&["r1"]);
        let holder = Holder::new(app.clone(), |_| ());
        assert!(holder.hold_last().is_none());
        drop(holder.hold().unwrap());
        fs::remove_file(app.link()).unwrap();
        assert!(matches!(holder.hold(), Err(LiveError::Missing { .. })));
        let last = holder.hold_last().unwrap();
        assert!(!prunable(&app, "r1"));
        drop(last);
        fs::remove_dir(app.releases().join("r1")).unwrap();
        assert!(holder.hold_last().is_none());
    }

    #[test]
    fn what_another_process_read_is_held_if_the_link_may_lead_there() {
        let (dir, app) = shop(&["r1"]);
        fs::create_dir(dir.path().join("elsewhere")).unwrap();
        fs::remove_file(app.link()).unwrap();
        let holder = Holder::new(app.clone(), |_| ());
        assert_eq!(holder.hold_as(Path::new("releases/r1")).unwrap().id().as_str(), "r1");
        assert!(holder.hold_as(Path::new("releases/r2")).is_none());
        assert!(holder.hold_as(Path::new("elsewhere")).is_none());
    }

    #[test]
    fn a_stranger_with_an_exclusive_lock_delays_a_hold_but_does_not_prevent_it() {
        let (_dir, app) = shop(&["r1"]);
        let holder = Holder::new(app.clone(), |_| ());
        drop(holder.hold().unwrap());
        let stranger = File::open(app.releases().join("r1")).unwrap();
        flock(&stranger, FlockOperation::LockExclusive).unwrap();
        let hold = holder.hold().unwrap();
        assert!(!hold.lease().is_held());
        assert_eq!(hold.lease().why_unheld(), Some(crate::lease::Unheld::Taken));
        drop(hold);
        drop(stranger);
        assert!(holder.hold().unwrap().lease().is_held());
    }
}
