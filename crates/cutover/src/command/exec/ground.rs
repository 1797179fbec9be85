//! Ground: what a command stands on: a release that is held, a directory in it, and what it is told of both.

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use release::lease::Unheld;
use release::live::LiveError;
use release::manifest;
use release::{App, Lease, Live, ReleaseId};

use super::flags::ExecFlags;
use super::notice::say;
use crate::answer::Failure;
use crate::command::flip;
use crate::opened::Opened;

/// A release, held, and the directory in it where a command starts.
#[derive(Debug)]
pub struct Ground {
    lease: Lease,
    dir: PathBuf,
}

/// Between two looks for a release that is not live yet.
const AGAIN: Duration = Duration::from_millis(50);

impl Ground {
    /// Takes hold of what the flags name: the live release, or one by its name.
    pub fn take(opened: &Opened, flags: &ExecFlags) -> Result<Ground, Failure> {
        let lease = match &flags.release {
            Some(id) => by_name(opened, id)?,
            None => live(opened, flags.wait.unwrap_or_default())?,
        };
        if let Some(why) = lease.why_unheld() {
            say(&format!("{} cannot be held ({why}): do not let it be pruned meanwhile", lease.live().id));
        }
        Ground::in_release(lease, flags)
    }

    /// Takes hold of what was live when the link was read. Fails if that was replaced meanwhile.
    pub fn follow(app: &App, live: &Live, flags: &ExecFlags) -> Result<Ground, Failure> {
        let lease = Lease::take(app, live).map_err(Failure::failed)?;
        Ground::in_release(lease, flags)
    }

    fn in_release(lease: Lease, flags: &ExecFlags) -> Result<Ground, Failure> {
        let dir = match &flags.chdir {
            Some(below) => lease.path().join(inside(below)?),
            None => lease.path().to_owned(),
        };
        if !dir.is_dir() {
            let below = flags.chdir.as_deref().unwrap_or(Path::new(""));
            let error = format!("{} has no directory {}", lease.live().id, below.display());
            return Err(Failure::failed(error).next("--chdir names one inside the release"));
        }
        Ok(Ground { lease, dir })
    }

    /// The release.
    pub fn id(&self) -> &ReleaseId {
        &self.lease.live().id
    }

    /// Where the command starts.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whether this is where the link led then. The link's own text does not matter, only the tree and its name.
    pub fn is(&self, live: &Live) -> bool {
        let key = |live: &Live| (live.dev, live.ino);
        let own = self.lease.live();
        key(own) == key(live) && (&own.id, &own.dir) == (&live.id, &live.dir)
    }

    /// The hold, as a descriptor that the command inherits.
    pub fn hand_on(&mut self) -> Result<OwnedFd, Failure> {
        self.lease.hand_on().map_err(|why| Failure::failed(format!("{} cannot be held: {why}", self.id())))
    }

    /// The command, in its directory, with its environment.
    pub fn command(&self, words: &[OsString]) -> Command {
        let mut words = words.iter();
        let mut command = Command::new(words.next().map(OsString::as_os_str).unwrap_or_default());
        command.args(words).current_dir(&self.dir).env("PWD", &self.dir);
        command.env("CUTOVER_RELEASE", self.id().as_str()).env("CUTOVER_RELEASE_ROOT", self.lease.path());
        command
    }
}

/// The live release, held; waits for one to be live.
fn live(opened: &Opened, wait: Duration) -> Result<Lease, Failure> {
    let until = Instant::now() + wait;
    loop {
        match Lease::take_live(&opened.app) {
            Ok(lease) => return Ok(lease),
            Err(why) if Instant::now() >= until => return Err(no_release(why)),
            Err(_) => std::thread::sleep(AGAIN),
        }
    }
}

/// That the link names no release, and what to do about it.
fn no_release(why: LiveError) -> Failure {
    let next = match &why {
        LiveError::Missing { .. } => {
            "`cutover flip RELEASE` or `cutover deploy` makes one live; --wait 5m waits for it"
        }
        LiveError::NotALink { .. }
        | LiveError::Dangling { .. }
        | LiveError::NotADirectory { .. }
        | LiveError::Loop { .. }
        | LiveError::Outside { .. }
        | LiveError::BadName { .. }
        | LiveError::Unreadable { .. } => {
            "`cutover flip RELEASE` mends the link; --release RELEASE does without"
        }
    };
    Failure::failed(format!("no release is live: {why}")).still("nothing was run").next(next)
}

/// A release by its name, held. It must be sealed: nobody has said of another that it is complete.
fn by_name(opened: &Opened, id: &ReleaseId) -> Result<Lease, Failure> {
    let nothing_ran = |failure: Failure| failure.still("nothing was run");
    let Ok(sealed) = manifest::sealed(&opened.app, id) else {
        return Err(flip::target(opened, id, false).err().map_or_else(|| gone(id), nothing_ran));
    };
    let lease = Lease::take_sealed(&opened.app, &sealed).map_err(|_| gone(id))?;
    match lease.why_unheld() {
        Some(Unheld::Taken) => Err(gone(id)),
        Some(Unheld::NotReadable | Unheld::Unsupported(_)) | None => Ok(lease),
    }
}

fn gone(id: &ReleaseId) -> Failure {
    Failure::refused(format!("{id} is being deleted or rewritten at this moment"))
        .still("nothing was run")
        .next("`cutover releases` lists what there is")
}

/// A way that stays in the release.
fn inside(below: &Path) -> Result<&Path, Failure> {
    let stays = below.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    match stays {
        true => Ok(below),
        false => Err(Failure::usage(format!("--chdir {}: it leads out of the release", below.display()))
            .next("name a directory inside it: --chdir public")),
    }
}
