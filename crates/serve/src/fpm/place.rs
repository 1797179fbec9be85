//! Place: the private directory of embedded pools, and the files of each generation in it.
//!
//! ```text
//! <dir>/                  root's: /run/cutover/<app>-<hash>, 0710; else <app>/.cutover/run, or shorter where that is too long
//!   fpm-3.lock            flock held by the keeper as long as it lives: not held, the generation is a dead one's
//!   fpm-3.sock  .status   where requests and status requests go: 0660, for the process that serves
//!   fpm-3.conf  fpm-3.d/  the generated configuration, and php.ini values in a scan directory
//!   fpm-3.pid             the master's process id, and how often it had to be started again
//! ```
//! Root reads its configuration again when it restarts a pool, so nobody else may write where it lies:
//! that is why root does not use a directory below the app, which the deploying user owns.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::io::retry_on_intr;
use rustix::process::geteuid;

use super::FpmError;

/// Bytes of a Unix socket's path, without the NUL that ends it (unix(7)).
const LONGEST_SOCKET: usize = 107;
/// Room for `/fpm-4294967295.status`.
const LONGEST_NAME: usize = 22;

/// So often the lock of the directory is tried for when the last one leaves.
const TIDY: usize = 20;

/// Root's embedded pools; nobody else may write there.
const RUN: &str = "/run/cutover";
/// Those of others, followed by the user's number, where the app's own directory does not do.
const TMP: &str = "/tmp/cutover-";

/// One generation of an embedded pool on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) dir: PathBuf,
    pub(crate) generation: u32,
}

impl Place {
    /// The place a socket of ours lies at; `None` if it is not one of ours.
    pub(crate) fn of_socket(socket: &Path) -> Option<Place> {
        let name = socket.file_name()?.to_str()?;
        let generation = name.strip_prefix("fpm-")?.strip_suffix(".sock")?.parse().ok()?;
        Some(Place { dir: socket.parent()?.to_owned(), generation })
    }

    pub(crate) fn lock(&self) -> PathBuf {
        self.file("lock")
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.file("sock")
    }

    pub(crate) fn status(&self) -> PathBuf {
        self.file("status")
    }

    pub(crate) fn conf(&self) -> PathBuf {
        self.file("conf")
    }

    /// A directory for PHP's `PHP_INI_SCAN_DIR`.
    pub(crate) fn ini_dir(&self) -> PathBuf {
        self.file("d")
    }

    pub(crate) fn pid(&self) -> PathBuf {
        self.file("pid")
    }

    fn file(&self, ending: &str) -> PathBuf {
        self.dir.join(format!("fpm-{}.{ending}", self.generation))
    }

    /// Removes everything of this generation; what is not there is no error. The lock goes last.
    pub(crate) fn remove(&self) -> io::Result<()> {
        let files = [self.socket(), self.status(), self.conf(), self.pid()];
        let there = |gone: io::Result<()>| match gone {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        };
        files.iter().try_for_each(|file| there(fs::remove_file(file)))?;
        there(fs::remove_dir_all(self.ini_dir()))?;
        there(fs::remove_file(self.lock()))
    }

    /// Whether a keeper lives: it holds the lock.
    pub(crate) fn is_kept(&self) -> io::Result<bool> {
        let lock = match File::open(self.lock()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            found => found?,
        };
        match flock(&lock, FlockOperation::NonBlockingLockShared) {
            Ok(()) => Ok(false),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }
}

/// Where the embedded pools of the app `name` have their files; `run` is the app's own directory for such.
pub fn runtime_dir(name: &str, run: &Path) -> PathBuf {
    let user = geteuid();
    let fits = run.as_os_str().len() + LONGEST_NAME <= LONGEST_SOCKET;
    if fits && is_plain(run) && !user.is_root() {
        return run.to_owned();
    }
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    let name: String = name.chars().map(plain).take(32).collect();
    let hash = blake3::hash(run.as_os_str().as_bytes()).to_hex();
    let own = format!("{name}-{}", &hash[..8]);
    if user.is_root() {
        return Path::new(RUN).join(own);
    }
    Path::new(&format!("{TMP}{user}")).join(own)
}

/// Whether a path can be told to PHP, which separates by `:`, `,` and `=`.
pub(crate) fn is_plain(path: &Path) -> bool {
    path.as_os_str().as_bytes().iter().all(|byte| byte.is_ascii_alphanumeric() || b"/._-+@~".contains(byte))
}

/// A directory nobody else can write to, held against other starters until dropped.
#[derive(Debug)]
pub(crate) struct Claimed {
    dir: PathBuf,
    /// flock of the directory itself: one starter at a time cleans up and counts.
    lock: File,
}

/// Makes the directory if it is not there, insists that it is ours alone, and waits for other starters.
/// `gid`: a group that may pass through it to the sockets.
pub(crate) fn claim(dir: &Path, gid: Option<u32>) -> Result<Claimed, FpmError> {
    let failed = |source| FpmError::Dir { dir: dir.to_owned(), source };
    // Who is not root risks nothing but his own, where his own app keeps such files; /tmp is everybody's.
    let wary = geteuid().is_root() || dir.starts_with("/tmp");
    if let Some(parent) = dir.parent() {
        make(parent, 0o755).map_err(failed)?;
        if wary {
            trust(parent)?;
        }
    }
    make(dir, 0o700).map_err(failed)?;
    if wary {
        trust(dir)?;
    }
    if let (true, Some(gid)) = (geteuid().is_root(), gid) {
        chown(dir, None, Some(gid)).map_err(failed)?;
        fs::set_permissions(dir, fs::Permissions::from_mode(0o710)).map_err(failed)?;
    }
    let lock = File::open(dir).map_err(failed)?;
    retry_on_intr(|| flock(&lock, FlockOperation::LockExclusive)).map_err(|error| failed(error.into()))?;
    let is_same =
        |there: fs::Metadata, here: fs::Metadata| (there.dev(), there.ino()) == (here.dev(), here.ino());
    let stands = match (fs::symlink_metadata(dir), lock.metadata()) {
        (Ok(there), Ok(here)) => is_same(there, here),
        (Err(_), _) | (_, Err(_)) => false,
    };
    if !stands {
        // The last keeper tidied it away in between.
        return claim(dir, gid);
    }
    Ok(Claimed { dir: dir.to_owned(), lock })
}

/// Removes the directory if nothing is in it any more, where [`runtime_dir`] thought of it: an app's own stays.
pub(crate) fn tidy(dir: &Path) {
    let ours = dir.starts_with(RUN) || dir.starts_with(format!("{TMP}{}", geteuid()));
    let Some(lock) = ours.then(|| File::open(dir).ok()).flatten() else { return };
    // Whoever starts another pool there holds this lock, and then it is not empty. Another that tidies up holds it
    // for a moment, and may have found our files.
    for _ in 0..TIDY {
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok() {
            return fs::remove_dir(dir).unwrap_or_default();
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

impl Claimed {
    /// The claim itself, to be given to another process: the directory is claimed until every copy is closed.
    pub(crate) fn into_lock(self) -> File {
        self.lock
    }

    /// Removes what crashed generations left, and names the next one. Numbers of the dead are not used again at
    /// once: a dying php-fpm removes its socket by path.
    pub(crate) fn next(&self) -> Result<Place, FpmError> {
        let failed = |source| FpmError::Dir { dir: self.dir.clone(), source };
        let mut highest = 0;
        for entry in fs::read_dir(&self.dir).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            let number =
                name.to_str().and_then(|name| name.strip_prefix("fpm-")?.split('.').next()?.parse().ok());
            let Some(generation) = number else { continue };
            highest = highest.max(generation);
            let place = Place { dir: self.dir.clone(), generation };
            if !place.is_kept().map_err(failed)? {
                place.remove().map_err(failed)?;
            }
        }
        Ok(Place { dir: self.dir.clone(), generation: highest.wrapping_add(1).max(1) })
    }
}

/// Makes a directory, if it is not there.
fn make(dir: &Path, mode: u32) -> io::Result<()> {
    match DirBuilder::new().mode(mode).create(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// A directory of ours or of root's that no other may write to (`/tmp` may: nobody can replace what is ours there).
fn trust(dir: &Path) -> Result<(), FpmError> {
    let found = fs::symlink_metadata(dir).map_err(|source| FpmError::Dir { dir: dir.to_owned(), source })?;
    let sticky = found.mode() & 0o1000 != 0;
    let ours = found.uid() == geteuid().as_raw() || found.uid() == 0;
    if found.is_dir() && ours && (found.mode() & 0o022 == 0 || sticky) {
        return Ok(());
    }
    Err(FpmError::Untrusted { dir: dir.to_owned() })
}
