//! Hold: this process's hold on the release of one app, from request to request.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use release::lease::{LeaseError, Resting};
use release::live::{self, LiveError};
use release::{App, Lease, Live, ReleaseId};

use crate::forks;

/// A hold that is kept between requests without a lock, so that an idle worker keeps nothing from being pruned.
#[derive(Default)]
pub struct Hold {
    state: State,
    /// What somebody in front of us said when this was taken, if it was taken because of that.
    told: Option<Told>,
    /// The release that was taken last, by its name and its directory's device and inode.
    last: Option<(ReleaseId, u64, u64)>,
    /// What lies between a release's directory and where the link leads, in some layouts.
    below: PathBuf,
    /// Which of the forked opened the directory: a lock belongs to an open directory, which siblings would share.
    owner: u64,
}

/// The lease of a process that is one request. Never dropped, which would unlock it: a daemon that outlives its parent
/// shares the parent's lock.
static FOR_LIFE: OnceLock<Lease> = OnceLock::new();

#[derive(Default)]
enum State {
    #[default]
    Nothing,
    Resting(Resting),
    Held(Box<Lease>),
    ForLife(&'static Lease),
}

/// What somebody in front of us pinned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// CUTOVER_RELEASE_ROOT: the release's directory.
    pub root: Vec<u8>,
    /// CUTOVER_RELEASE: its name, which a directory does not say that releases take turns in.
    pub release: Option<Vec<u8>>,
}

/// What taking hold of a release led to.
pub struct Taken {
    /// It is another release than the one before.
    pub other: bool,
    /// What the administrator should hear.
    pub complaint: Option<String>,
}

impl Hold {
    /// Takes hold of the release of the request before once more, the short way: if somebody in front of us says the same
    /// as then, or nobody says anything now as then, and it is still there, or still live. `false`: it has to be taken
    /// by [`take_told`](Hold::take_told) or [`take_live`](Hold::take_live).
    pub fn take_again(&mut self, app: &App, root: Option<&[u8]>) -> bool {
        self.own();
        let woken = match (std::mem::take(&mut self.state), root, &self.told) {
            // A slot's directory does not say whose turn it is.
            (State::Resting(resting), Some(root), Some(told))
                if told.root == root && !resting.live().in_slot() =>
            {
                resting.wake()
            }
            (State::Resting(resting), None, None) => resting.wake_if_live(app),
            (state, _, _) => {
                self.state = state;
                return false;
            }
        };
        self.state = woken.map_or(State::Nothing, State::Held);
        matches!(self.state, State::Held(_))
    }

    /// Takes hold of what somebody in front of us pinned, if it is a release of this app.
    pub fn take_told(&mut self, app: &App, told: &Told) -> Result<Taken, String> {
        self.own();
        let state = std::mem::take(&mut self.state);
        match state {
            State::Resting(resting) if self.told.as_ref() == Some(told) => {
                if let Some(lease) = resting.wake() {
                    self.state = State::Held(lease);
                    return Ok(Taken { other: false, complaint: None });
                }
            }
            State::Nothing | State::Resting(_) | State::Held(_) | State::ForLife(_) => {}
        }
        // It is the same for all releases of an app, and an app whose link is broken has it from before.
        if let Ok(live) = live::read(app) {
            self.below = live.below;
        }
        let live = find(app, told, &self.below)?;
        let lease = Lease::take(app, &live).map_err(|why| match why {
            LeaseError::Moved(path) => {
                format!("CUTOVER_RELEASE_ROOT names {}, which was removed", path.display())
            }
            why @ LeaseError::Unopened(..) => format!("CUTOVER_RELEASE_ROOT: {why}"),
        })?;
        Ok(self.keep(Box::new(lease), Some(told.clone())))
    }

    /// Takes hold of what the link names now.
    pub fn take_live(&mut self, app: &App) -> Result<Taken, LiveError> {
        self.own();
        match std::mem::take(&mut self.state) {
            State::Resting(resting) => {
                if let Some(lease) = resting.wake_if_live(app) {
                    self.state = State::Held(lease);
                    return Ok(Taken { other: false, complaint: None });
                }
            }
            state @ State::ForLife(_) => {
                self.state = state;
                return Ok(Taken { other: false, complaint: None });
            }
            State::Nothing | State::Held(_) => {}
        }
        let lease = Box::new(Lease::take_live(app)?);
        self.below = lease.live().below.clone();
        Ok(self.keep(lease, None))
    }

    /// Keeps what is held until the process ends.
    pub fn keep_for_life(&mut self) {
        self.state = match std::mem::take(&mut self.state) {
            State::Held(lease) => match FOR_LIFE.set(*lease) {
                Ok(()) => FOR_LIFE.get().map_or(State::Nothing, State::ForLife),
                Err(lease) => State::Held(Box::new(lease)),
            },
            state @ (State::Nothing | State::Resting(_) | State::ForLife(_)) => state,
        };
    }

    /// Gives the lock back, after a request.
    pub fn rest(&mut self) {
        self.own();
        self.state = match std::mem::take(&mut self.state) {
            State::Held(lease) => State::Resting(lease.rest()),
            state @ (State::Nothing | State::Resting(_) | State::ForLife(_)) => state,
        };
    }

    /// The release that is held now.
    pub fn live(&self) -> Option<&Live> {
        match &self.state {
            State::Held(lease) => Some(lease.live()),
            State::ForLife(lease) => Some(lease.live()),
            State::Nothing | State::Resting(_) => None,
        }
    }

    /// Where the link leads, or would lead if it named this release.
    pub fn target(&self) -> Option<PathBuf> {
        let live = self.live()?;
        if self.below.as_os_str().is_empty() {
            Some(live.dir.clone())
        } else {
            Some(live.dir.join(&self.below))
        }
    }

    /// Whether that is this path.
    pub fn targets(&self, path: &Path) -> bool {
        match self.live() {
            Some(live) if self.below.as_os_str().is_empty() => live.dir == path,
            Some(live) => live.dir.join(&self.below) == path,
            None => false,
        }
    }

    /// Forgets what this process was forked with.
    fn own(&mut self) {
        let me = forks::so_far();
        if self.owner == me {
            return;
        }
        let parents = std::mem::replace(self, Hold { owner: me, ..Hold::default() });
        match parents.state {
            State::Held(lease) => lease.leave(),
            State::Resting(resting) => resting.leave(),
            State::Nothing | State::ForLife(_) => {}
        }
    }

    fn keep(&mut self, lease: Box<Lease>, told: Option<Told>) -> Taken {
        let complaint = lease
            .why_unheld()
            .map(|why| format!("{} is used without a lease on it: {why}", lease.path().display()));
        let live = lease.live();
        let this = Some((live.id.clone(), live.dev, live.ino));
        let other = self.last != this;
        (self.last, self.told, self.state) = (this, told, State::Held(lease));
        Taken { other, complaint }
    }
}

/// The release of this app that was pinned by somebody else, who names its directory, or where the link leads in it.
fn find(app: &App, told: &Told, below: &Path) -> Result<Live, String> {
    let said = Path::new(OsStr::from_bytes(&told.root));
    let root = match below.components().count() {
        depth if said.ends_with(below) => said.ancestors().nth(depth).unwrap_or(said),
        _ => said,
    };
    let refused = || {
        format!(
            "CUTOVER_RELEASE_ROOT names {}, which is no release of the app of {}",
            said.display(),
            app.link().display()
        )
    };
    let id = match &told.release {
        Some(name) => Some(
            std::str::from_utf8(name)
                .ok()
                .and_then(|name| ReleaseId::parse(name).ok())
                .ok_or_else(refused)?,
        ),
        None => None,
    };
    match (live::at(app, root), id) {
        (Ok(live), Some(id)) if live.id == id => Ok(live),
        (Ok(live), None) => Ok(live),
        (Ok(_) | Err(_), Some(id)) => match live::at(app, &app.release(&id)) {
            Ok(live) if live.dir == root => Ok(live),
            Ok(_) | Err(_) => Err(refused()),
        },
        (Err(_), None) => Err(refused()),
    }
}
