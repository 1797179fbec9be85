//! Link: one link that says what is live, the release it led to last, and what was said about it in the log.

use crate::bindings::server_rec;
use crate::log::{self, Level};
use crate::place;
use crate::shared::{Shared, Text};
use crate::walk::Walk;
use release::live::LiveError;
use release::{App, Hold, Holder};
use std::ffi::CString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// A link that was known when the server started.
pub struct Link {
    holder: Holder<Made>,
    /// How many sites share it.
    sites: Arc<AtomicUsize>,
    /// What it said when a process of this server could follow it last.
    last: Shared,
    /// Whether something is wrong with it, so that requests need no lock to see that nothing is.
    broken: AtomicBool,
    said: Mutex<Said>,
}

#[derive(Default)]
struct Said {
    /// What was wrong when it was read last.
    wrong: Option<LiveError>,
    /// When it was read last.
    read: Option<Instant>,
}

/// What is made once for a release that the link led to.
pub struct Made {
    /// Where the link leads: what its path is replaced by.
    pub root: PathBuf,
    /// The release's name, as a value in headers and the environment.
    pub id: CString,
    /// `root`, as a value in the environment.
    pub root_text: CString,
    /// What the link said.
    text: Text,
    announced: AtomicBool,
    /// For each of the sites that share the link.
    shares: Box<[OnceLock<Share>]>,
}

/// What one site has of one release.
pub struct Share {
    /// Its document root, if that leads through the link.
    pub root: Option<CString>,
    /// Its `<Directory>` sections that name the link.
    pub walk: Walk,
}

impl Link {
    /// The link of this app.
    pub fn new(app: App) -> Link {
        let sites = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&sites);
        let made = move |lease: &release::Lease| {
            let live = lease.live();
            // Not joined when empty: that would leave a slash behind it.
            let root =
                if live.below.as_os_str().is_empty() { live.dir.clone() } else { live.dir.join(&live.below) };
            Made {
                id: CString::new(live.id.as_str()).unwrap_or_default(),
                root_text: CString::new(root.clone().into_os_string().into_vec()).unwrap_or_default(),
                root,
                text: Text::new(live.text.as_os_str().as_bytes()),
                announced: AtomicBool::new(false),
                shares: (0..count.load(Ordering::Relaxed)).map(|_| OnceLock::new()).collect(),
            }
        };
        let link = Link {
            holder: Holder::new(app, made),
            sites,
            last: Shared::new(),
            broken: AtomicBool::new(false),
            said: Mutex::default(),
        };
        // Read here in the parent, which holds no release: its children begin with what it saw.
        if let Ok(live) = release::live::read(link.app()) {
            link.last.write(&Text::new(live.text.as_os_str().as_bytes()));
        }
        link
    }

    /// The number of one more site that shares it. All have theirs before a release is held.
    pub fn joined(&self) -> usize {
        self.sites.fetch_add(1, Ordering::Relaxed)
    }

    /// The link itself.
    pub fn path(&self) -> &Path {
        self.holder.app().link()
    }

    /// The layout it belongs to.
    pub fn app(&self) -> &App {
        self.holder.app()
    }

    /// Whether this process has held a release of it.
    pub fn was_pinned(&self) -> bool {
        self.holder.was_held()
    }

    /// One request's hold on the release that is live now, or on the last good one. `None`: there is none.
    ///
    /// With `stale_for` the link is read only if it was not read for so long.
    pub fn pin(&self, stale_for: Option<Duration>, server: *const server_rec) -> Option<Hold<Made>> {
        let now = stale_for.map(|limit| (limit, Instant::now()));
        if let Some((limit, now)) = now
            && held(&self.said).read.is_some_and(|read| now.duration_since(read) < limit)
            && let Some(hold) = self.holder.hold_last()
        {
            return Some(hold);
        }
        match self.holder.hold() {
            Ok(hold) => {
                if let Some((_, now)) = now {
                    held(&self.said).read = Some(now);
                }
                self.whole_again(&hold, server);
                self.announce(&hold, server);
                self.last.write(&hold.with().text);
                Some(hold)
            }
            Err(why) => {
                // What any process saw last, so that all of them answer alike.
                let text = self.last.read();
                let last = text.and_then(|text| self.holder.hold_as(place::path(&text)));
                let last = last.or_else(|| self.holder.hold_last());
                self.complain(why, last.as_ref(), server);
                last
            }
        }
    }

    /// Says once that something is wrong, and what visitors get meanwhile.
    fn complain(&self, why: LiveError, last: Option<&Hold<Made>>, server: *const server_rec) {
        let mut said = held(&self.said);
        if said.wrong.as_ref() != Some(&why) {
            let meanwhile = match last {
                Some(hold) => format!("requests go on to the last good release, {}", hold.id()),
                None => "no good release is known, so requests get 503".to_owned(),
            };
            let todo = match &why {
                LiveError::Outside { .. } => {
                    "; if it is meant to lead there, name its directory: CutoverAllow"
                }
                LiveError::Missing { .. }
                | LiveError::NotALink { .. }
                | LiveError::Dangling { .. }
                | LiveError::NotADirectory { .. }
                | LiveError::Loop { .. }
                | LiveError::BadName { .. }
                | LiveError::Unreadable { .. } => "; make it lead to a release again",
            };
            log::line(server, Level::Error, &format!("{}: {meanwhile}{todo}", told(&why)));
            said.wrong = Some(why);
        }
        self.broken.store(true, Ordering::Relaxed);
    }

    fn whole_again(&self, hold: &Hold<Made>, server: *const server_rec) {
        if self.broken.load(Ordering::Relaxed) && self.broken.swap(false, Ordering::Relaxed) {
            held(&self.said).wrong = None;
            let link = self.path().display();
            log::line(server, Level::Notice, &format!("{link} leads to a release again, {}", hold.id()));
        }
    }

    /// Says once per process and release that it is served, and whether it is so without a lease.
    fn announce(&self, hold: &Hold<Made>, server: *const server_rec) {
        let made = hold.with();
        if made.announced.load(Ordering::Relaxed) || made.announced.swap(true, Ordering::Relaxed) {
            return;
        }
        let (link, id) = (self.path().display(), hold.id());
        log::line(server, Level::Info, &format!("{link} leads to release {id}"));
        if let Some(why) = hold.lease().why_unheld() {
            let text =
                format!("release {id} is served without a lease, so pruning it is not prevented: {why}");
            log::line(server, Level::Warning, &text);
        }
    }
}

impl Made {
    /// What the site of this number, which [`Link::joined`] gave, has of the release; made on first use.
    pub fn share(&self, number: usize, make: impl FnOnce() -> Share) -> &Share {
        self.shares[number].get_or_init(make)
    }
}

/// The error without the key of cutover.toml that it names: here a directive does that.
fn told(why: &LiveError) -> String {
    match why {
        LiveError::Outside { link, leads_to } => {
            format!(
                "{} leads to {}, outside of the directories of releases",
                link.display(),
                leads_to.display()
            )
        }
        LiveError::Missing { .. }
        | LiveError::NotALink { .. }
        | LiveError::Dangling { .. }
        | LiveError::NotADirectory { .. }
        | LiveError::Loop { .. }
        | LiveError::BadName { .. }
        | LiveError::Unreadable { .. } => why.to_string(),
    }
}

fn held<V>(mutex: &Mutex<V>) -> MutexGuard<'_, V> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
