//! Twin: another php-fpm like the one that runs, started by its keeper, which kept the rights to.
//!
//! ```text
//! serve -> keeper   `T`, the path of a file to preload or nothing, end of line
//! keeper -> serve   `K` and the twin's generation, with two descriptors: its control socket, and the claim of the
//!                   directory, to be held until the twin has reported
//!                   `F` and why there is none
//! ```
//! What the twin reads is copied from where only the keeper's user can write. From who serves comes one path: he may
//! have dropped privileges that the keeper has, so nothing that could be a line of configuration is taken from him.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use rustix::event::epoll;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::orders::Orders;
use super::place::{self, Place};
use super::pool_conf::{self, Written};

/// The keeper is asked for a twin.
pub(crate) const TWIN: u8 = b'T';
const KEPT: u8 = b'K';
const REFUSED: u8 = b'F';

/// The longest message: a path and a reason fit.
const LONGEST: usize = 8192;
/// The keeper only writes some files and starts a process before it answers.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the keeper gave: where the twin is, its control socket, and the claim of its directory.
pub(crate) struct Given {
    pub(crate) place: Place,
    pub(crate) control: UnixStream,
    /// Closed when the twin has reported: until then another starter would take its files for a dead one's.
    pub(crate) claim: OwnedFd,
}

/// Asks the keeper behind `control`, whose own pool is at `place`, for a twin.
pub(crate) fn ask(control: &OwnedFd, place: &Place, preload: Option<&Path>) -> io::Result<Given> {
    let mut control = UnixStream::from(control.try_clone()?);
    control.set_read_timeout(Some(PATIENCE))?;
    forget_late_answers(&control)?;
    let mut question = vec![TWIN];
    question.extend_from_slice(preload.map_or(b"".as_slice(), |path| path.as_os_str().as_bytes()));
    question.push(b'\n');
    control.write_all(&question)?;
    let mut text = [0; LONGEST];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let bytes = loop {
        let read =
            recvmsg(&control, &mut [IoSliceMut::new(&mut text)], &mut ancillary, RecvFlags::CMSG_CLOEXEC);
        match read {
            Err(rustix::io::Errno::INTR) => {}
            read => break read?.bytes,
        }
    };
    control.set_read_timeout(None)?;
    let mut fds = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(sent) = message {
            fds.extend(sent);
        }
    }
    let (kind, rest) = text[..bytes].split_first().ok_or_else(|| io::Error::other("its keeper is gone"))?;
    let rest = String::from_utf8_lossy(rest);
    let mut fds = fds.into_iter();
    match (*kind, rest.parse(), fds.next(), fds.next()) {
        (KEPT, Ok(generation), Some(control), Some(claim)) => {
            let place = Place { dir: place.dir.clone(), generation };
            Ok(Given { place, control: control.into(), claim })
        }
        (REFUSED, ..) => Err(io::Error::other(rest.into_owned())),
        _ => Err(io::Error::other("its keeper gave an answer that cannot be read")),
    }
}

/// An answer that came when nobody waited for it any more would be taken for the next one.
fn forget_late_answers(control: &UnixStream) -> io::Result<()> {
    control.set_nonblocking(true)?;
    let mut control = control;
    while matches!(control.read(&mut [0; LONGEST]), Ok(1..)) {}
    control.set_nonblocking(false)
}

/// What the one who serves told the keeper.
pub(crate) enum Told {
    /// He is gone, and every other who served.
    Left,
    /// Nothing of meaning.
    Nothing,
    /// A twin is wanted, with this file preloaded.
    Twin(Option<PathBuf>),
}

/// Reads what the one who serves tells.
pub(crate) fn told(control: &mut UnixStream) -> Told {
    let mut bytes = [0; LONGEST];
    match control.read(&mut bytes) {
        Ok(0) => Told::Left,
        Ok(count) => match &bytes[..count] {
            [TWIN, b'\n'] => Told::Twin(None),
            [TWIN, path @ .., b'\n'] => Told::Twin(Some(PathBuf::from(OsStr::from_bytes(path)))),
            _ => Told::Nothing,
        },
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Told::Nothing,
        Err(_) => Told::Left,
    }
}

/// The keepers of twins: children of this keeper, which has to wait for them.
pub(crate) struct Twins {
    /// Readable when one of them has ended.
    pub(crate) ended: OwnedFd,
    kept: Vec<(Child, OwnedFd)>,
}

impl Twins {
    pub(crate) fn none() -> io::Result<Twins> {
        Ok(Twins { ended: epoll::create(epoll::CreateFlags::CLOEXEC)?, kept: Vec::new() })
    }

    /// Starts a twin of the pool of `orders`, and tells who asked.
    pub(crate) fn answer(&mut self, orders: &Orders, control: &UnixStream, preload: Option<&Path>) {
        // Who asked may be gone: then the twin's control socket is closed, and it ends.
        match self.start(orders, preload) {
            Ok((place, twin, claim)) => {
                let text = [&[KEPT], place.generation.to_string().as_bytes()].concat();
                let fds = [twin.as_fd(), claim.as_fd()];
                let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
                let mut attached = SendAncillaryBuffer::new(&mut space);
                attached.push(SendAncillaryMessage::ScmRights(&fds));
                sendmsg(control, &[IoSlice::new(&text)], &mut attached, SendFlags::NOSIGNAL)
                    .unwrap_or_default();
            }
            Err(why) => {
                let mut text = [&[REFUSED], why.as_bytes()].concat();
                text.truncate(LONGEST);
                let mut control = control;
                control.write_all(&text).unwrap_or_default();
            }
        }
    }

    fn start(
        &mut self,
        orders: &Orders,
        preload: Option<&Path>,
    ) -> Result<(Place, UnixStream, File), String> {
        let failed = |error: io::Error| error.to_string();
        let line = preload.map(pool_conf::preload).transpose()?;
        let claimed = place::claim(&orders.place.dir, orders.gid).map_err(|error| error.to_string())?;
        let place = claimed.next().map_err(|error| error.to_string())?;
        match self.start_at(&place, orders, line.as_deref()) {
            Ok(ours) => Ok((place, ours, claimed.into_lock())),
            Err(why) => {
                // What is left of it the next starter clears up.
                place.remove().unwrap_or_default();
                Err(failed(why))
            }
        }
    }

    fn start_at(&mut self, place: &Place, orders: &Orders, preload: Option<&str>) -> io::Result<UnixStream> {
        super::put(place, &copied(orders, place)?)?;
        if let Some(line) = preload {
            super::put_preload(place, line)?;
        }
        let (ours, theirs) = UnixStream::pair()?;
        let twin = Orders { place: place.clone(), ..orders.clone() };
        let child = spawn(orders, &twin, theirs.into())?;
        self.look_after(child)?;
        Ok(ours)
    }

    fn look_after(&mut self, child: Child) -> io::Result<()> {
        let pidfd = pidfd_open(Pid::from_child(&child), PidfdFlags::empty())?;
        let data = epoll::EventData::new_u64(0);
        epoll::add(&self.ended, &pidfd, data, epoll::EventFlags::IN)?;
        self.kept.push((child, pidfd));
        Ok(())
    }

    /// Waits for those that have ended.
    pub(crate) fn bury(&mut self) {
        // A closed descriptor leaves the epoll by itself (epoll(7)).
        self.kept.retain_mut(|(child, _)| matches!(child.try_wait(), Ok(None)));
    }
}

/// The generated files of `orders`, as those of the twin at `place`.
fn copied(orders: &Orders, place: &Place) -> io::Result<Written> {
    let conf = fs::read_to_string(orders.place.conf())?;
    let ini = fs::read_to_string(orders.place.ini_dir().join(super::INI))?;
    let conf = pool_conf::moved(&conf, place);
    Ok(Written { conf, ini, environment: Vec::new() })
}

fn spawn(orders: &Orders, twin: &Orders, control: OwnedFd) -> io::Result<Child> {
    // Ours is the last one in it: see how the first keeper is started.
    let scanned = std::env::var_os("PHP_INI_SCAN_DIR").unwrap_or_default();
    let own = orders.place.ini_dir();
    let before = scanned.as_bytes().strip_suffix(own.as_os_str().as_bytes()).unwrap_or(b":");
    let scanned = [before, twin.place.ini_dir().as_os_str().as_bytes()].concat();
    Command::new("/proc/self/exe")
        .arg0("cutover")
        .args(["fpm-keeper", "keep"])
        .args(twin.to_args())
        .env("PHP_INI_SCAN_DIR", OsStr::from_bytes(&scanned))
        .stdin(control)
        .spawn()
}
