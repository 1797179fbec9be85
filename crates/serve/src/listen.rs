//! Listen: the sockets that clients connect to: bound here, passed by systemd, or handed over by the process
//! that this one replaces.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use config::value::ListenAt;
use nix::sys::stat::{Mode, umask};
use nix::unistd::{Gid, chown, geteuid};

/// Connections that wait for `accept`; the kernel caps it at net.core.somaxconn.
const BACKLOG: i32 = 4096;

/// A listening socket.
#[derive(Debug)]
pub enum Listener {
    /// TCP.
    Tcp(tokio::net::TcpListener),
    /// A Unix socket.
    Unix(tokio::net::UnixListener),
}

/// A listening socket outside any runtime.
#[derive(Debug)]
pub enum Bound {
    /// TCP.
    Tcp(std::net::TcpListener),
    /// A Unix socket.
    Unix(std::os::unix::net::UnixListener),
}

/// A socket that cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The address is taken, or not ours.
    #[error("cannot listen on {at}{hint}")]
    Bind {
        /// The address.
        at: String,
        /// What to do about it.
        hint: &'static str,
        /// The system's reason.
        source: io::Error,
    },
    /// Another process answers on the socket's path.
    #[error("cannot listen on unix:{}: another process answers there; stop it, or use `cutover upgrade`", .0.display())]
    InUse(PathBuf),
    /// Something other than a socket is in the way.
    #[error("cannot listen on unix:{}: something that is not a socket stands there", .0.display())]
    NotASocket(PathBuf),
    /// The socket unit did not pass it.
    #[error(
        "no socket {0} was passed to this process (LISTEN_FDS): a socket unit names its own by FileDescriptorName="
    )]
    NotPassed(String),
}

/// Sockets that were open before this process began to listen.
#[derive(Debug, Default)]
pub struct Inherited {
    passed: Vec<(Vec<String>, Bound)>,
}

impl Inherited {
    /// What systemd passed (sd_listen_fds(3)), by name: the unit's `FileDescriptorName=`.
    pub fn from_systemd() -> Self {
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':');
        let mut fds = listenfd::ListenFd::from_env();
        let mut passed = Vec::new();
        for index in 0..fds.len() {
            let name = names.next().filter(|name| !name.is_empty()).unwrap_or("unknown");
            let bound = match fds.take_tcp_listener(index) {
                Ok(Some(socket)) => Some(Bound::Tcp(socket)),
                Ok(None) => None,
                Err(_not_tcp) => fds.take_unix_listener(index).ok().flatten().map(Bound::Unix),
            };
            if let Some(bound) = bound {
                // The protocol numbers them from 3 on.
                passed.push((vec![format!("systemd:{name}"), format!("fd:{}", index + 3)], bound));
            }
        }
        Self { passed }
    }

    /// Adds a socket under the name its address has in the configuration.
    pub fn add(&mut self, at: &str, socket: OwnedFd) {
        let is_unix = rustix::net::getsockname(&socket)
            .is_ok_and(|name| rustix::net::SocketAddrUnix::try_from(name).is_ok());
        let bound = if is_unix { Bound::Unix(socket.into()) } else { Bound::Tcp(socket.into()) };
        self.passed.push((vec![at.to_owned()], bound));
    }

    /// Takes the sockets for this address: all of one name, for a socket unit with several addresses names them alike.
    pub fn take(&mut self, at: &ListenAt) -> Vec<Bound> {
        let at = at.to_string();
        self.passed.extract_if(.., |(names, _)| names.contains(&at)).map(|(_, bound)| bound).collect()
    }
}

/// Listens on `at`: on the inherited sockets where there are any.
pub fn bind_or_take(at: &ListenAt, inherited: &mut Inherited) -> Result<Vec<Bound>, ListenError> {
    match inherited.take(at) {
        none if none.is_empty() => Ok(vec![bind(at)?]),
        passed => Ok(passed),
    }
}

/// Listens on `at` by a socket of our own.
pub fn bind(at: &ListenAt) -> Result<Bound, ListenError> {
    match at {
        ListenAt::Tcp(address) => {
            bind_tcp(*address).map(Bound::Tcp).map_err(|source| refused(at.to_string(), source))
        }
        ListenAt::Unix(path) => bind_unix(path),
        ListenAt::Systemd(_) | ListenAt::Fd(_) => Err(ListenError::NotPassed(at.to_string())),
    }
}

/// Gives a Unix socket to a group, if this process may: root binds it, and a web server of that group connects.
pub fn give(at: &ListenAt, gid: Option<u32>) -> Result<(), ListenError> {
    let (ListenAt::Unix(path), Some(gid)) = (at, gid.filter(|_| geteuid().is_root())) else { return Ok(()) };
    chown(path, None, Some(Gid::from_raw(gid))).map_err(|why| refused(at.to_string(), why.into()))
}

fn refused(at: String, source: io::Error) -> ListenError {
    let hints = [
        (io::ErrorKind::AddrInUse, ": another program listens there (`ss -ltnp` names it)"),
        (
            io::ErrorKind::PermissionDenied,
            ": ports below 1024 need root, CAP_NET_BIND_SERVICE or a systemd socket",
        ),
        (io::ErrorKind::AddrNotAvailable, ": this machine has no such address"),
    ];
    let hint = hints.iter().find(|(kind, _)| *kind == source.kind()).map_or("", |(_, hint)| hint);
    ListenError::Bind { at, hint, source }
}

fn bind_tcp(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    use socket2::{Domain, Protocol, Socket, Type};
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // So that a restart need not wait for TIME_WAIT. Never SO_REUSEPORT: a second process would split the backlog.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn bind_unix(path: &Path) -> Result<Bound, ListenError> {
    use std::os::unix::fs::FileTypeExt;
    let refused = |source| refused(format!("unix:{}", path.display()), source);
    match std::fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => return Err(ListenError::NotASocket(path.to_owned())),
        Ok(_socket) if std::os::unix::net::UnixStream::connect(path).is_ok() => {
            return Err(ListenError::InUse(path.to_owned()));
        }
        Ok(_left_behind) => std::fs::remove_file(path).map_err(refused)?,
        Err(missing) if missing.kind() == io::ErrorKind::NotFound => {}
        Err(other) => return Err(refused(other)),
    }
    // 0660 from its first moment: owner and group may connect, nobody else.
    let before = umask(Mode::from_bits_truncate(0o117));
    let bound = std::os::unix::net::UnixListener::bind(path);
    umask(before);
    bound.map(Bound::Unix).map_err(refused)
}

impl Bound {
    /// Registers the socket with the runtime. It stays open in this process too, for a later hand-over.
    pub fn listen(&self) -> io::Result<Listener> {
        match self {
            Self::Tcp(socket) => {
                let socket = socket.try_clone()?;
                socket.set_nonblocking(true)?;
                tokio::net::TcpListener::from_std(socket).map(Listener::Tcp)
            }
            Self::Unix(socket) => {
                let socket = socket.try_clone()?;
                socket.set_nonblocking(true)?;
                tokio::net::UnixListener::from_std(socket).map(Listener::Unix)
            }
        }
    }

    /// The address it is bound to; for Unix sockets none.
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(socket) => socket.local_addr().ok(),
            Self::Unix(_) => None,
        }
    }
}

impl AsFd for Bound {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(socket) => socket.as_fd(),
            Self::Unix(socket) => socket.as_fd(),
        }
    }
}
