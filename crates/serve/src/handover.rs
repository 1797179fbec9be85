//! Hand-over: a new process of the program gets the very sockets of the old one, over a socket pair that is
//! its standard input. The same sockets, not new ones with SO_REUSEPORT: a backlog is not lost.
//!
//! ```text
//! old: items -> |            | <- ready: it serves | connections between two requests -> |  (drains, ends)
//! new:          | opens them |                     | takes them as if it had accepted them
//! ```

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use serde::{Deserialize, Serialize};

/// Set in the environment of a process that takes over.
pub const TAKE_OVER: &str = "CUTOVER_TAKE_OVER";

/// One message carries at most so many descriptors (SCM_MAX_FD is 253).
const MOST_FDS: usize = 250;

/// How long a new process may take until it serves.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// What a descriptor is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Item {
    /// A listening socket, by its address in the configuration.
    Listen(String),
    /// The pipe that keeps an embedded pool alive, with what is needed to use the pool.
    Pool {
        /// The app.
        app: String,
        /// What the pool's owner wrote about it.
        about: String,
        /// The release that it was started for.
        #[serde(default)]
        made_for: Option<String>,
        /// It waits for that release to go live.
        #[serde(default)]
        fresh: bool,
    },
}

/// What a new process says when it serves and takes open connections. An older one says `1`: it serves.
const SERVES_AND_TAKES: u8 = b'2';

/// How long a new process may take until it has read what is passed on to it.
const PASSING: Duration = Duration::from_secs(5);

/// A new process, which serves.
#[derive(Debug)]
pub struct Heir {
    /// Its number.
    pub pid: u32,
    /// Where open connections go; `None`: it is of a version that takes none.
    to: Option<Mutex<UnixStream>>,
}

/// Starts `program` with this process's arguments, and hands it `items`.
///
/// Blocks until the new process serves. Errors: the new process's reason not to; nothing changed then.
pub fn hand_over(program: &Path, items: &[(Item, BorrowedFd<'_>)]) -> io::Result<Heir> {
    if items.len() > MOST_FDS {
        return Err(io::Error::other("too many sockets for one hand-over"));
    }
    let (mut ours, theirs) = UnixStream::pair()?;
    let mut child = Command::new(program)
        .args(std::env::args_os().skip(1))
        .env(TAKE_OVER, "1")
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .spawn()?;
    match offer(&mut ours, items) {
        Ok(takes) => Ok(Heir { pid: child.id(), to: takes.then(|| Mutex::new(ours)) }),
        Err(why) => {
            // It may have ended by itself, with its reason on standard error.
            child.kill().and_then(|()| child.wait()).map_err(|_gone| io::Error::other(why.to_string()))?;
            Err(why)
        }
    }
}

/// Whether the new process takes open connections, once it serves.
fn offer(ours: &mut UnixStream, items: &[(Item, BorrowedFd<'_>)]) -> io::Result<bool> {
    let names: Vec<&Item> = items.iter().map(|(item, _)| item).collect();
    let fds: Vec<BorrowedFd<'_>> = items.iter().map(|(_, fd)| *fd).collect();
    send(ours, &serde_json::to_vec(&names)?, &fds)?;
    ours.set_read_timeout(Some(PATIENCE))?;
    let mut ready = [0u8; 1];
    ours.read_exact(&mut ready).map_err(|why| {
        if why.kind() == io::ErrorKind::UnexpectedEof {
            return io::Error::other("the new process ended before it served: see its messages");
        }
        if why.kind() == io::ErrorKind::WouldBlock {
            return io::Error::other("the new process did not serve within a minute");
        }
        why
    })?;
    ours.set_write_timeout(Some(PASSING))?;
    Ok(ready[0] == SERVES_AND_TAKES)
}

impl Heir {
    /// Whether it takes open connections.
    pub fn takes(&self) -> bool {
        self.to.is_some()
    }

    /// Passes on a connection that came in by the socket `at`. The caller's own descriptor is of no use any more.
    pub fn pass(&self, at: &str, connection: BorrowedFd<'_>) -> io::Result<()> {
        let to = self.to.as_ref().ok_or(io::ErrorKind::Unsupported)?;
        send(&mut to.lock().unwrap_or_else(PoisonError::into_inner), at.as_bytes(), &[connection])
    }
}

/// Sends descriptors with what they are: its length goes with them, the rest behind.
fn send(to: &mut UnixStream, about: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let len = u32::try_from(about.len()).map_err(io::Error::other)?.to_le_bytes();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_FDS))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(io::Error::other("too many sockets for one hand-over"));
    }
    sendmsg(to.as_fd(), &[IoSlice::new(&len)], &mut ancillary, SendFlags::NOSIGNAL)?;
    to.write_all(about)
}

/// What [`send`] sent; `None`: the other side is gone.
fn receive(from: &mut UnixStream) -> io::Result<Option<(Vec<u8>, Vec<OwnedFd>)>> {
    let mut len = [0u8; 4];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_FDS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let got = recvmsg(&*from, &mut [IoSliceMut::new(&mut len)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    if got.bytes == 0 {
        return Ok(None);
    }
    if got.bytes != len.len() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let mut fds: Vec<OwnedFd> = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(sent) = message {
            fds.extend(sent);
        }
    }
    let mut about = vec![0u8; u32::from_le_bytes(len) as usize];
    from.read_exact(&mut about)?;
    Ok(Some((about, fds)))
}

/// The other side: what this process was handed, if it was started to take over.
#[derive(Debug)]
pub struct TakenOver {
    /// The descriptors, each with what it is.
    pub items: Vec<(Item, OwnedFd)>,
    from: UnixStream,
}

impl TakenOver {
    /// Receives what the old process hands over; `None` where this process was started afresh.
    pub fn receive() -> io::Result<Option<Self>> {
        if std::env::var_os(TAKE_OVER).is_none() {
            return Ok(None);
        }
        let mut from = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
        let (names, fds) = receive(&mut from)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let names: Vec<Item> = serde_json::from_slice(&names)?;
        if names.len() != fds.len() {
            return Err(io::Error::other("the hand-over is not whole"));
        }
        Ok(Some(Self { items: names.into_iter().zip(fds).collect(), from }))
    }

    /// Tells the old process that this one serves: it begins to drain, and passes on what is open.
    pub fn ready(mut self) -> io::Result<Passed> {
        self.from.write_all(&[SERVES_AND_TAKES])?;
        Ok(Passed { from: self.from })
    }
}

/// The connections that the old process passes on.
#[derive(Debug)]
pub struct Passed {
    from: UnixStream,
}

impl Passed {
    /// The next one, with the address of the socket that it came in by; blocks. `None`: the old process has ended.
    pub fn take_next(&mut self) -> io::Result<Option<(String, OwnedFd)>> {
        let Some((at, fds)) = receive(&mut self.from)? else { return Ok(None) };
        let at = String::from_utf8(at).map_err(io::Error::other)?;
        let connection = fds.into_iter().next();
        connection.map(|connection| Some((at, connection))).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }
}
