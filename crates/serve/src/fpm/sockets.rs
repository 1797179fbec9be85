//! Sockets: where a pool listens; bound by the keeper, so that requests wait while php-fpm is started again.
//!
//! php-fpm takes them over by `FPM_SOCKETS`, the way it hands them to itself on a reload
//! (php-src, sapi/fpm/fpm/fpm_sockets.c).

use std::fs;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rustix::fs::Mode;
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::umask;

use super::place::Place;

/// Both sockets of one generation.
#[derive(Debug)]
pub(crate) struct Sockets {
    requests: Socket,
    status: Socket,
}

#[derive(Debug)]
struct Socket {
    path: PathBuf,
    listener: UnixListener,
    /// Device and inode of the path: php-fpm removes it when it is told to end by somebody else.
    identity: (u64, u64),
}

impl Sockets {
    /// Binds both, 0660 and for the group `gid`. Only for a process of one thread: the umask is changed meanwhile.
    pub(crate) fn bind(place: &Place, gid: Option<u32>) -> io::Result<Sockets> {
        Ok(Sockets {
            requests: Socket::bind(place.socket(), gid)?,
            status: Socket::bind(place.status(), gid)?,
        })
    }

    /// Whether clients still find them.
    pub(crate) fn stand(&self) -> bool {
        [&self.requests, &self.status]
            .iter()
            .all(|socket| identity(&socket.path).ok() == Some(socket.identity))
    }

    /// Has them inherited by what is started now, or by nothing. php-fpm inherits them, and nobody else: held open by
    /// another they would take requests that nobody answers.
    pub(crate) fn lend(&self, lent: bool) -> io::Result<()> {
        let flags = if lent { FdFlags::empty() } else { FdFlags::CLOEXEC };
        [&self.requests, &self.status].iter().try_for_each(|socket| fcntl_setfd(&socket.listener, flags))?;
        Ok(())
    }

    /// The value of `FPM_SOCKETS`.
    pub(crate) fn inherited(&self) -> String {
        let of = |socket: &Socket| format!("{}={}", socket.path.display(), socket.listener.as_raw_fd());
        format!("{},{}", of(&self.requests), of(&self.status))
    }
}

impl Socket {
    fn bind(path: PathBuf, gid: Option<u32>) -> io::Result<Socket> {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        // By the umask, not by a chmod afterwards: at no moment may others connect.
        let before = umask(Mode::from_raw_mode(0o117));
        let bound = UnixListener::bind(&path);
        umask(before);
        let listener = bound?;
        if let Some(gid) = gid {
            chown(&path, None, Some(gid))?;
        }
        let identity = identity(&path)?;
        Ok(Socket { path, listener, identity })
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|found| (found.dev(), found.ino()))
}
