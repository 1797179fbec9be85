//! Settle: what becomes of a connection when its request is over for the caller but perhaps not for the worker.

use std::{
    io,
    mem::MaybeUninit,
    os::fd::{AsFd, OwnedFd},
};

use bytes::Buf;
use rustix::{
    net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, Shutdown, sendmsg, shutdown},
    pipe::{PipeFlags, pipe_with},
};
use tokio::{io::AsyncReadExt, net::unix::pipe};

use super::{Held, connection::Link};
use crate::{record::REQUEST_ID, request::write_abort, response::Step};

/// The worker is free: the next request may have the connection.
pub(super) fn free(mut link: Link) {
    link.reset();
    super::slots::free(link);
}

/// The response is over: waits until the worker says that it is free (the probe's answer) or gone (end-of-file). As a
/// rule the answer was read together with the end of the response; else the wait is a task of its own. Without a
/// runtime the connection is closed.
pub(super) fn settle(mut link: Link, held: Option<Held>) {
    match heard(&mut link) {
        Heard::Free => {
            drop(held);
            free(link);
        }
        Heard::Nothing => spawn(async move {
            let free = answered(link).await;
            drop(held);
            if let Some(link) = free {
                self::free(link);
            }
        }),
        Heard::Fault => {}
    }
}

/// The caller wants no more of it. PHP-FPM notices when it next writes, so the worker may go on for long; what is
/// held is held until it ends, as far as that can be seen:
/// - on a Unix socket our reading half is closed, so that its next write fails, and a canary tells when it has ended;
/// - if it has not got the whole request, our writing half is closed, and what it still says is read and dropped;
/// - on TCP the connection is closed, and nothing more is known.
pub(super) fn abort(link: Link, held: Option<Held>, sent_all: bool) {
    if !sent_all {
        // An error means that it is gone already.
        if shutdown(link.as_fd(), Shutdown::Write).is_ok() {
            spawn(async move {
                drained(link).await;
                drop(held);
            });
        }
    } else if link.is_unix()
        && shutdown(link.as_fd(), Shutdown::Read).is_ok()
        && let Ok(canary) = canary(&link)
    {
        spawn(async move {
            died(canary).await;
            drop((link, held));
        });
    }
}

/// Sends ABORT_REQUEST with the only writing end of a pipe attached to it. PHP-FPM looks at what it has not read when
/// its request is over (main/fastcgi.c, fcgi_close): then, or when it dies, the kernel closes that end, and the reading
/// end tells. Its hang-up would tell nothing: it waits for ours.
fn canary(link: &Link) -> io::Result<OwnedFd> {
    let (reading, writing) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
    let mut record = Vec::new();
    write_abort(&mut record, REQUEST_ID);
    let fds = [writing.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut attached = SendAncillaryBuffer::new(&mut space);
    attached.push(SendAncillaryMessage::ScmRights(&fds));
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    sendmsg(link.as_fd(), &[io::IoSlice::new(&record)], &mut attached, flags)?;
    Ok(reading)
}

async fn died(canary: OwnedFd) {
    if let Ok(mut pipe) = pipe::Receiver::from_owned_fd(canary) {
        // Nobody writes: end-of-file is all that can come.
        pipe.read_u8().await.ok();
    }
}

/// Waits for the answer to the probe; `None`: the connection is of no use any more.
async fn answered(mut link: Link) -> Option<Link> {
    loop {
        match heard(&mut link) {
            Heard::Free => return Some(link),
            Heard::Fault => return None,
            Heard::Nothing if link.fill().await.ok()? == 0 => return None,
            Heard::Nothing => {}
        }
    }
}

/// What the bytes that were read say about the worker.
enum Heard {
    /// It is free.
    Free,
    /// Nothing yet.
    Nothing,
    /// It says what it should not.
    Fault,
}

fn heard(link: &mut Link) -> Heard {
    loop {
        let (count, free) = match link.reader.step(&link.input) {
            Ok(Step::Need) => return Heard::Nothing,
            Ok(Step::Values(count)) => (count, true),
            // The log of what runs after the response is over is of nobody any more.
            Ok(Step::Skip(count) | Step::Stderr(count)) => (count, false),
            Ok(Step::Stdout(_) | Step::End(..)) | Err(_) => return Heard::Fault,
        };
        link.input.advance(count);
        if free {
            return Heard::Free;
        }
    }
}

/// Reads and drops what comes, until end-of-file or more than anybody needs to finish.
async fn drained(mut link: Link) {
    let mut left = DRAINED;
    while let Ok(count @ 1..) = link.fill().await {
        link.input.clear();
        left = match left.checked_sub(count) {
            Some(left) => left,
            None => return,
        };
    }
}

const DRAINED: usize = 1 << 20;

fn spawn(task: impl Future<Output = ()> + Send + 'static) {
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        runtime.spawn(task);
    }
}
