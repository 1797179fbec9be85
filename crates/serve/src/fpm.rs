//! Fpm: the embedded pool, a private php-fpm that lives exactly as long as somebody serves.
//!
//! - [`FpmOptions`]: what it is to be like. [`Embedded`]: a running one.
//! - `find` (php-fpm on this machine), `account` (who its workers run as), `pool_conf` (what it reads),
//!   `place` (where its files are).
//! - [`keeper`]: the process that starts it, starts it again, and ends it; `orders`, `sockets`, `pool`, `master` are its parts.
//!
//! To change options start another and drop the old one: each has its own sockets.

pub(crate) mod account;
mod find;
pub mod keeper;
mod master;
mod options;
mod orders;
mod place;
mod pool;
mod pool_conf;
mod sockets;
mod twin;

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{Shutdown, shutdown};
use thiserror::Error;

pub use self::find::FindError;
pub use self::options::FpmOptions;
pub use self::place::runtime_dir;
pub use self::pool_conf::STATUS_PATH;

use self::account::{Account, account};
use self::orders::Orders;
use self::place::Place;
use self::pool_conf::Written;

/// What the environment of systemd and of sockets handed over would make php-fpm do.
const NOT_FOR_FPM: [&str; 6] =
    ["NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "WATCHDOG_USEC", "WATCHDOG_PID"];

/// The file of php.ini values.
const INI: &str = "cutover.ini";

/// Why there is no embedded pool.
#[derive(Debug, Error)]
pub enum FpmError {
    /// No php-fpm.
    #[error(transparent)]
    Find(#[from] FindError),
    /// The configured user does not exist.
    #[error("php.user: there is no user `{name}` on this machine")]
    UnknownUser {
        /// As configured.
        name: String,
    },
    /// The configured group does not exist.
    #[error("php.group: there is no group `{name}` on this machine")]
    UnknownGroup {
        /// As configured.
        name: String,
    },
    /// Not root, so workers cannot be another.
    #[error(
        "php: workers can run as `{who}` only if cutover serve is started by root \
         (a reload cannot do it either, once privileges are dropped: restart it)"
    )]
    NeedsRoot {
        /// The user or group.
        who: String,
    },
    /// Root, and no user to run as.
    #[error(
        "php.user: say who PHP runs as; there is no www-data, apache, nginx or http here, and root must be asked for"
    )]
    NoUser,
    /// A value cannot be told to php-fpm.
    #[error("{0}")]
    Value(String),
    /// The runtime directory cannot be used.
    #[error("cannot use {} for php-fpm's sockets", .dir.display())]
    Dir {
        /// The directory.
        dir: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others can write to the runtime directory.
    #[error("{} is not safe for php-fpm's sockets: it must be a directory of this user or root that no other can write to", .dir.display())]
    Untrusted {
        /// The directory.
        dir: PathBuf,
    },
    /// The keeper cannot be started or does not report.
    #[error("cannot start the keeper of php-fpm")]
    Keeper {
        /// Why.
        source: io::Error,
    },
    /// php-fpm does not start.
    #[error("php-fpm ({}) did not start:\n{said}", .binary.display())]
    Failed {
        /// php-fpm.
        binary: PathBuf,
        /// Its own words.
        said: String,
    },
    /// Another php-fpm beside the one that runs does not start.
    #[error("a second php-fpm did not start:\n{said}")]
    Twin {
        /// Its own words.
        said: String,
    },
    /// What is handed over is no embedded pool.
    #[error("{} is no socket of an embedded pool", .0.display())]
    NotOurs(PathBuf),
    /// It has not ended in time; its keeper goes on ending it.
    #[error("php-fpm at {} has not ended within {} s", .socket.display(), .within.as_secs_f32())]
    StillThere {
        /// Its socket.
        socket: PathBuf,
        /// How long it was waited for.
        within: Duration,
    },
}

/// A running embedded pool. It ends, gracefully, when the last `Embedded` that leads to it is dropped, in this process
/// and in every other it was handed to.
#[derive(Debug)]
pub struct Embedded {
    place: Place,
    socket: PathBuf,
    status: PathBuf,
    /// As long as somebody holds this end, the keeper keeps.
    control: OwnedFd,
    /// Only where this process started it.
    keeper: Option<Child>,
}

impl Embedded {
    /// Starts a pool and waits until it answers; blocks for a fraction of a second, `start_within` at most.
    /// To be called before privileges are dropped, if the workers are to run as another user.
    pub fn start(options: &FpmOptions) -> Result<Embedded, FpmError> {
        let binary = find::find(options.binary.as_deref())?;
        let account = account(options.user.as_deref(), options.group.as_deref())?;
        let claimed = place::claim(&options.dir, options.connecting_gid)?;
        let place = claimed.next()?;
        let written = pool_conf::write(options, &account, &place).map_err(FpmError::Value)?;
        let unwritten = |source| FpmError::Dir { dir: place.dir.clone(), source };
        put(&place, &written).map_err(unwritten)?;
        if let Some(file) = &options.preload {
            put_preload(&place, &pool_conf::preload(file).map_err(FpmError::Value)?).map_err(unwritten)?;
        }
        let orders = Orders {
            app: options.app.clone(),
            binary,
            stop_within: options.stop_within,
            start_within: options.start_within,
            gid: options.connecting_gid.filter(|_| rustix::process::geteuid().is_root()),
            as_root: matches!(account, Account::Root { .. }),
            place,
        };
        let (ours, theirs) = UnixStream::pair().map_err(keeper_failed)?;
        let mut keeper = spawn(options, &orders, &written, theirs.into()).map_err(keeper_failed)?;
        match await_report(ours, options.start_within) {
            Ok(control) => Ok(Embedded::of(orders.place, control.into(), Some(keeper))),
            Err(failure) => {
                // The control socket is closed by now, so the keeper ends.
                let cleaned = keeper.wait().and_then(|_| orders.place.remove());
                cleaned.map_err(keeper_failed)?;
                drop(claimed);
                place::tidy(&orders.place.dir);
                Err(match failure {
                    Failure::Said(said) => FpmError::Failed { binary: orders.binary, said },
                    Failure::Broken(source) => FpmError::Keeper { source },
                })
            }
        }
    }

    /// Starts another pool like this one, with a cache of its own, and with `preload` compiled and kept before it
    /// answers. Its keeper is started by ours, so this process may have dropped its privileges since. Blocks for a
    /// fraction of a second, `start_within` at most. One call at a time.
    pub fn twin(&self, preload: Option<&Path>, start_within: Duration) -> Result<Embedded, FpmError> {
        let given = twin::ask(&self.control, &self.place, preload).map_err(keeper_failed)?;
        let started = match await_report(given.control, start_within) {
            Ok(control) => Ok(Embedded::of(given.place, control.into(), None)),
            Err(Failure::Said(said)) => Err(FpmError::Twin { said }),
            Err(Failure::Broken(source)) => Err(FpmError::Keeper { source }),
        };
        drop(given.claim);
        started
    }

    /// What another process needs to keep the pool alive: the control descriptor (closed on exec; pass it on by
    /// SCM_RIGHTS or clear the flag) and the socket's path.
    pub fn hand_over(&self) -> io::Result<(OwnedFd, &Path)> {
        Ok((self.control.try_clone()?, &self.socket))
    }

    /// Takes over what [`Embedded::hand_over`] gave in another process.
    pub fn adopt(control: OwnedFd, socket: &Path) -> Result<Embedded, FpmError> {
        let place = Place::of_socket(socket).ok_or_else(|| FpmError::NotOurs(socket.to_owned()))?;
        Ok(Embedded::of(place, control, None))
    }

    fn of(place: Place, control: OwnedFd, keeper: Option<Child>) -> Embedded {
        let (socket, status) = (place.socket(), place.status());
        Embedded { place, socket, status, control, keeper }
    }

    /// Where requests go.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Where requests for [`STATUS_PATH`] go: answered even while all workers are busy.
    pub fn status_socket(&self) -> &Path {
        &self.status
    }

    /// The process id of php-fpm's master; `None` for the moment it takes to start it again.
    pub fn pid(&self) -> Option<u32> {
        self.noted().map(|(pid, _)| pid)
    }

    /// How often php-fpm died and was started again.
    pub fn restarts(&self) -> u32 {
        self.noted().map_or(0, |(_, restarts)| restarts)
    }

    fn noted(&self) -> Option<(u32, u32)> {
        let text = fs::read_to_string(self.place.pid()).ok()?;
        let (pid, restarts) = text.trim_end().split_once(' ')?;
        Some((pid.parse().ok()?, restarts.parse().ok()?))
    }

    /// Whether the keeper lives. If somebody killed it, php-fpm ends too: start another pool.
    pub fn is_kept(&self) -> bool {
        let mut ends = [PollFd::new(&self.control, PollFlags::RDHUP)];
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        match poll(&mut ends, Some(&at_once)) {
            Ok(_) => !ends[0].revents().intersects(PollFlags::HUP | PollFlags::RDHUP | PollFlags::ERR),
            Err(_) => true,
        }
    }

    /// Ends the pool gracefully, whoever else holds it; after a hand-over that is somebody else's to say.
    pub fn end(&self) {
        // The keeper sees end-of-file. Gone already: nothing is left to be told.
        shutdown(&self.control, Shutdown::Both).unwrap_or_default();
    }

    /// Ends the pool and waits until it is gone: before the process exits, since a service manager may kill what is
    /// left behind. Blocks.
    pub fn stop(&self, within: Duration) -> Result<(), FpmError> {
        self.end();
        let until = Instant::now() + within;
        loop {
            match self.place.is_kept() {
                Ok(false) => return Ok(()),
                Ok(true) if Instant::now() >= until => {
                    return Err(FpmError::StillThere { socket: self.socket.clone(), within });
                }
                Ok(true) => std::thread::sleep(Duration::from_millis(10)),
                Err(source) => return Err(FpmError::Dir { dir: self.place.dir.clone(), source }),
            }
        }
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        let Some(mut keeper) = self.keeper.take() else { return };
        // The keeper ends after this drop, and must be waited for then, or it stays a zombie.
        let reaper = std::thread::Builder::new().name("fpm-reaper".into());
        if let Err(error) = reaper.spawn(move || keeper.wait().is_ok()) {
            master::complain(&format!("cannot wait for php-fpm's keeper: {error}"));
        }
    }
}

enum Failure {
    Said(String),
    Broken(io::Error),
}

fn await_report(mut control: UnixStream, start_within: Duration) -> Result<UnixStream, Failure> {
    let mut first = [0];
    // The keeper watches the time itself; this is for a keeper that hangs.
    let patience = start_within + Duration::from_secs(10);
    control.set_read_timeout(Some(patience)).map_err(Failure::Broken)?;
    let read = loop {
        match control.read(&mut first) {
            // A read with a timeout is not taken up again after a signal (signal(7)): some child ended, say.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => break read,
        }
    };
    match read.map_err(Failure::Broken)? {
        1 if first[0] == keeper::READY => {
            control.set_read_timeout(None).map_err(Failure::Broken).map(|()| control)
        }
        1 => {
            let mut said = String::new();
            control.read_to_string(&mut said).map_err(Failure::Broken)?;
            Err(Failure::Said(said))
        }
        _ => Err(Failure::Broken(io::Error::other("it ended without a report; its log says more"))),
    }
}

fn spawn(options: &FpmOptions, orders: &Orders, written: &Written, control: OwnedFd) -> io::Result<Child> {
    let mut scanned = std::env::var_os("PHP_INI_SCAN_DIR").unwrap_or_default();
    scanned.push(":");
    scanned.push(orders.place.ini_dir());
    let mut command = Command::new(&options.keeper);
    command.arg0("cutover").args(["fpm-keeper", "keep"]).args(orders.to_args());
    command.current_dir("/").stdin(control);
    NOT_FOR_FPM.iter().for_each(|name| {
        command.env_remove(name);
    });
    command.envs(written.environment.iter().cloned()).env("PHP_INI_SCAN_DIR", scanned);
    command.spawn()
}

/// Writes the generated files, for our eyes only.
fn put(place: &Place, written: &Written) -> io::Result<()> {
    fs::DirBuilder::new().mode(0o700).create(place.ini_dir())?;
    let write = |path: &Path, text: &str| {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(text.as_bytes())
    };
    write(&place.conf(), &written.conf)?;
    write(&place.ini_dir().join(INI), &written.ini)
}

/// Writes what is preloaded: not with the rest, for the next generation has the rest in common.
fn put_preload(place: &Place, line: &str) -> io::Result<()> {
    let path = place.ini_dir().join("preload.ini");
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(line.as_bytes())
}

fn keeper_failed(source: io::Error) -> FpmError {
    FpmError::Keeper { source }
}
