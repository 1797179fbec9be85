//! Pool: the states a kept php-fpm goes through, and waiting for the next one.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::master::Master;
use super::orders::Orders;
use super::sockets::Sockets;

/// A php-fpm that is kept.
pub(crate) enum Pool {
    /// Asked whether it is there; the answer comes on the stream.
    Starting { master: Master, asked: UnixStream, until: Instant },
    /// It answered.
    Up { master: Master, since: Instant },
    /// To be started again.
    Down { again: Instant },
}

/// What there is to do.
#[derive(Debug, Default)]
pub(crate) struct Woken {
    /// The one who serves said something, or is gone.
    pub(crate) control: bool,
    /// php-fpm said something.
    pub(crate) stderr: bool,
    /// php-fpm ended.
    pub(crate) ended: bool,
    /// php-fpm answered.
    pub(crate) answered: bool,
    /// The keeper of a twin ended.
    pub(crate) twin: bool,
}

impl Pool {
    pub(crate) fn start(orders: &Orders, sockets: &Sockets) -> io::Result<Pool> {
        let asked = ask(orders)?;
        let master = Master::start(orders, sockets)?;
        Ok(Pool::Starting { master, asked, until: Instant::now() + orders.start_within })
    }

    /// Takes the answer; true if the pool is up now.
    pub(crate) fn answered(&mut self, orders: &Orders) -> bool {
        let now = Instant::now();
        match std::mem::replace(self, Pool::Down { again: now }) {
            Pool::Starting { master, mut asked, until } => match asked.read(&mut [0; 64]) {
                Ok(1..) => {
                    *self = Pool::Up { master, since: now };
                    true
                }
                Ok(0) | Err(_) => {
                    // Hung up on: it is about to end, or to start anew. Ask again, but not in a tight circle.
                    std::thread::sleep(Duration::from_millis(20));
                    let asked = ask(orders).unwrap_or(asked);
                    *self = Pool::Starting { master, asked, until };
                    false
                }
            },
            other @ (Pool::Up { .. } | Pool::Down { .. }) => {
                *self = other;
                false
            }
        }
    }

    pub(crate) fn master(&mut self) -> Option<&mut Master> {
        match self {
            Pool::Starting { master, .. } | Pool::Up { master, .. } => Some(master),
            Pool::Down { .. } => None,
        }
    }

    /// Takes the master out, with how long it has been up.
    pub(crate) fn take(&mut self, again: Instant) -> Option<(Master, Duration)> {
        match std::mem::replace(self, Pool::Down { again }) {
            Pool::Starting { master, .. } => Some((master, Duration::ZERO)),
            Pool::Up { master, since } => Some((master, since.elapsed())),
            Pool::Down { .. } => None,
        }
    }

    pub(crate) fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.master().map_or(Ok(None), Master::ended)
    }

    /// It should have answered by now.
    pub(crate) fn is_late(&self) -> bool {
        matches!(self, Pool::Starting { until, .. } if *until <= Instant::now())
    }

    /// It is to be started now.
    pub(crate) fn is_due(&self) -> bool {
        matches!(self, Pool::Down { again } if *again <= Instant::now())
    }

    /// Waits for something to do, until it is time for something or `at_most` is over.
    pub(crate) fn wait(
        &self,
        control: &UnixStream,
        twins: &OwnedFd,
        at_most: Option<Duration>,
    ) -> io::Result<Woken> {
        let (master, asked, until) = match self {
            Pool::Starting { master, asked, until } => (Some(master), Some(asked.as_fd()), Some(*until)),
            Pool::Up { master, .. } => (Some(master), None, None),
            Pool::Down { again } => (None, None, Some(*again)),
        };
        let stderr = master.and_then(|master| master.stderr.as_ref()).map(AsFd::as_fd);
        let pidfd = master.map(|master| master.pidfd.as_fd());
        let until = until.map(|until| until.saturating_duration_since(Instant::now()));
        let fds = [Some(control.as_fd()), stderr, pidfd, asked, Some(twins.as_fd())];
        let [control, stderr, ended, answered, twin] = poll_in(fds, until.into_iter().chain(at_most).min())?;
        Ok(Woken { control, stderr, ended, answered, twin })
    }
}

/// Which of these can be read, have ended or failed; `within` `None`: waits as long as it takes.
pub(crate) fn poll_in<const N: usize>(
    fds: [Option<BorrowedFd<'_>>; N],
    within: Option<Duration>,
) -> io::Result<[bool; N]> {
    let mut polled: Vec<_> = fds.iter().flatten().map(|fd| PollFd::new(fd, PollFlags::IN)).collect();
    let timeout = within.map(Timespec::try_from).transpose().map_err(io::Error::other)?;
    match poll(&mut polled, timeout.as_ref()) {
        Ok(_) => {}
        Err(rustix::io::Errno::INTR) => return Ok([false; N]),
        Err(error) => return Err(error.into()),
    }
    let mut revents = polled.iter().map(|fd| !fd.revents().is_empty());
    Ok(fds.map(|fd| fd.is_some() && revents.next().unwrap_or(false)))
}

/// Asks the status socket, where nobody else queues: it is answered once the master looks after its workers.
fn ask(orders: &Orders) -> io::Result<UnixStream> {
    let mut asked = UnixStream::connect(orders.place.status())?;
    let mut question = Vec::new();
    fastcgi::request::write_probe(&mut question);
    asked.write_all(&question)?;
    Ok(asked)
}
