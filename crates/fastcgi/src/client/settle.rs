//! Settle: what becomes of a connection when its request is over for the caller but perhaps not for the worker.

use std::{os::fd::AsFd, time::Duration};

use bytes::Buf;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    net::{Shutdown, shutdown},
};

use super::{Held, connection::Link};
use crate::response::Step;

/// The worker is free: the next request may have the connection.
pub(super) fn free(mut link: Link) {
    link.reset();
    super::slots::free(link);
}

/// The response is over: waits, in a task of its own, until the worker says that it is free (the probe's answer) or
/// gone (end-of-file). Without a runtime the connection is closed.
pub(super) fn settle(link: Link, held: Option<Held>) {
    spawn(async move {
        let free = answered(link).await;
        drop(held);
        if let Some(link) = free {
            self::free(link);
        }
    });
}

/// The caller wants no more of it. PHP-FPM notices when it next writes, so the worker may go on for long; what is
/// held is held until then, as far as that can be seen:
/// - on a Unix socket our reading half is closed, its next write fails, and its close shows as a hang-up here;
/// - if it has not got the whole request, our writing half is closed, and what it still says is read and dropped;
/// - on TCP there is no such half: the connection is closed, and nothing more is known.
pub(super) fn abort(link: Link, held: Option<Held>, sent_all: bool) {
    if link.is_unix() && sent_all {
        // Not connected any more: then it is gone, and the first look will tell.
        if shutdown(link.as_fd(), Shutdown::Read).is_err() {
            return;
        }
        spawn(async move {
            hung_up(&link).await;
            drop((link, held));
        });
    } else if !sent_all {
        if shutdown(link.as_fd(), Shutdown::Write).is_err() {
            return;
        }
        spawn(async move {
            drained(link).await;
            drop(held);
        });
    }
}

/// Waits for the answer to the probe; `None`: the connection is of no use any more.
async fn answered(mut link: Link) -> Option<Link> {
    loop {
        let count = match link.reader.step(&link.input).ok()? {
            Step::Need => match link.fill().await.ok()? {
                0 => return None,
                _ => continue,
            },
            Step::Values(count) => {
                link.input.advance(count);
                return Some(link);
            }
            Step::Skip(count) => count,
            // The log of what runs after the response is over is of nobody any more.
            Step::Stderr(count) => count,
            Step::Stdout(_) | Step::End(..) => return None,
        };
        link.input.advance(count);
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

/// Waits until the other end is closed, looking now and then: no readiness tells this from our own half-close.
async fn hung_up(link: &Link) {
    let mut pause = FIRST_PAUSE;
    loop {
        let mut look = [PollFd::new(link, PollFlags::empty())];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        match poll(&mut look, Some(&now)) {
            Ok(0) => {}
            Ok(_) => return,
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return,
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

fn spawn(task: impl Future<Output = ()> + Send + 'static) {
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        runtime.spawn(task);
    }
}
