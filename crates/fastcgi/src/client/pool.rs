//! Pool: kept connections to the responders of one site, as many as PHP-FPM can bear.

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use super::{
    ClientError, Request, Response, ResponseBody,
    connection::{Connection, Link},
    exchange::Exchange,
    slots::{Occupancy, Place, Slot, Slots},
};
use crate::Address;

/// How connections are kept. A kept connection occupies a worker of PHP-FPM even when it is idle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// The responder has other clients, none of which keeps connections: keep a few, open more as needed.
    Shared {
        /// Idle connections that are kept; less than `pm.max_children`, so that a worker is left for the rest.
        kept: usize,
        /// Connections at most; further requests wait in line.
        max: usize,
    },
    /// The responder is ours alone: a connection for each worker, all kept; further requests wait in line.
    Exclusive {
        /// The workers (`pm.max_children`).
        total: usize,
    },
    /// The responder is shared with another client that keeps connections: keep none.
    PerRequest {
        /// Connections at most; further requests wait in line.
        max: usize,
    },
}

impl Policy {
    fn max(self) -> usize {
        match self {
            Policy::Shared { max, .. } | Policy::PerRequest { max } => max.max(1),
            Policy::Exclusive { total } => total.max(1),
        }
    }

    fn kept(self) -> usize {
        match self {
            Policy::Shared { kept, max } => kept.min(max),
            Policy::Exclusive { total } => total.max(1),
            Policy::PerRequest { .. } => 0,
        }
    }
}

/// What a pool connects to, and its limits.
#[derive(Clone, Debug)]
pub struct PoolOptions {
    /// The responders, in turn; one that cannot be connected to is passed over for [`PoolOptions::down`].
    pub address: Vec<Address>,
    /// How connections are kept.
    pub policy: Policy,
    /// An idle connection is closed after this time. Shorter than PHP-FPM's `request_terminate_timeout`, which kills
    /// idle workers too.
    pub idle: Duration,
    /// To connect, for each address that is tried.
    pub connect_timeout: Duration,
    /// Silence of the responder while it is its turn.
    pub read_timeout: Duration,
    /// In line for a connection.
    pub queue_timeout: Duration,
    /// Requests that may wait in line.
    pub queue_len: usize,
    /// Bytes of response headers.
    pub head_len: usize,
    /// How long a responder that could not be connected to is tried last.
    pub down: Duration,
    /// Write FCGI_GET_VALUES behind each request and wait for its answer before the connection is used again, as
    /// PHP-FPM needs it. Off: for responders that do not answer it (which the specification does not allow).
    pub probe: bool,
}

impl PoolOptions {
    /// The defaults for these responders.
    pub fn new(address: Vec<Address>, policy: Policy) -> PoolOptions {
        PoolOptions {
            address,
            policy,
            idle: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(5),
            read_timeout: Duration::from_secs(60),
            queue_timeout: Duration::from_secs(30),
            queue_len: 1_024,
            head_len: 256 << 10,
            down: Duration::from_secs(1),
            probe: true,
        }
    }
}

/// Kept connections. Clones share them. Needs a tokio runtime with I/O and time wherever it is used.
#[derive(Clone, Debug)]
pub struct Pool {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    options: PoolOptions,
    slots: Arc<Slots>,
    /// Which responder is next.
    turn: AtomicUsize,
    /// For each responder: until when it is tried last.
    down: Vec<Mutex<Option<Instant>>>,
}

impl Pool {
    /// A pool without connections yet.
    pub fn new(options: PoolOptions) -> Pool {
        let policy = options.policy;
        // With several responders the oldest idle connection goes first, so that all of them get their share.
        let slots = Slots::new(
            policy.max(),
            policy.kept(),
            options.idle,
            options.queue_len,
            options.address.len() > 1,
        );
        let down = options.address.iter().map(|_| Mutex::new(None)).collect();
        Pool { shared: Arc::new(Shared { options, slots, turn: AtomicUsize::new(0), down }) }
    }

    /// Sends a request and waits for the head of its response. Dropping the future, or the response's body before
    /// its end, aborts the request.
    pub async fn send(&self, mut request: Request) -> Result<Response, ClientError> {
        let options = &self.shared.options;
        let mut fresh = false;
        loop {
            let link = self.shared.take(fresh).await?;
            let mut exchange = Exchange::begin(link, &mut request, options.read_timeout, options.probe);
            match exchange.head(options.head_len).await {
                Ok(head) => return Ok(Response { head, body: ResponseBody::new(exchange) }),
                // Once more on a connection of its own, so it happens once at most.
                Err(why) => match exchange.undo(&mut request) {
                    true => fresh = true,
                    false => return Err(why),
                },
            }
        }
    }

    /// How its connections are used now.
    pub fn occupancy(&self) -> Occupancy {
        self.shared.slots.occupancy()
    }

    /// Closes the idle connections, so that the workers behind them count as idle.
    pub fn close_idle(&self) {
        self.shared.slots.close_idle();
    }
}

impl Shared {
    async fn take(&self, fresh: bool) -> Result<Link, ClientError> {
        if !fresh {
            while let Some(link) = self.slots.idle() {
                if link.is_alive() {
                    return Ok(link);
                }
            }
        }
        match self.slots.place(self.options.queue_timeout).await? {
            Place::Link(link) if !fresh && link.is_alive() => Ok(link),
            Place::Link(link) => self.connect(link.close()).await,
            Place::Room(slot) => self.connect(slot).await,
        }
    }

    async fn connect(&self, mut slot: Slot) -> Result<Link, ClientError> {
        let addresses = &self.options.address;
        let (first, now) = (self.turn.fetch_add(1, Ordering::Relaxed), Instant::now());
        let mut order: Vec<usize> = (0..addresses.len()).map(|nth| (first + nth) % addresses.len()).collect();
        if order.len() > 1 {
            order.sort_by_key(|at| self.down_until(*at).is_some_and(|until| until > now));
        }
        let mut last = None;
        for at in order {
            let deadline = Instant::now() + self.options.connect_timeout;
            match Connection::open(&addresses[at], slot, deadline).await {
                Ok(mut link) => {
                    self.set_down(at, None);
                    link.slot.connected();
                    return Ok(link);
                }
                Err((why, back)) => {
                    slot = back;
                    self.set_down(at, Some(Instant::now() + self.options.down));
                    last = Some(ClientError::Connect { address: addresses[at].clone(), source: why });
                }
            }
        }
        let none = || Address::Tcp { host: String::from("(no responder)"), port: 0 };
        Err(last.unwrap_or_else(|| ClientError::Connect {
            address: none(),
            source: io::ErrorKind::AddrNotAvailable.into(),
        }))
    }

    fn down_until(&self, at: usize) -> Option<Instant> {
        *self.down.get(at)?.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_down(&self, at: usize, until: Option<Instant>) {
        if self.options.address.len() > 1
            && let Some(down) = self.down.get(at)
        {
            *down.lock().unwrap_or_else(PoisonError::into_inner) = until;
        }
    }
}

impl Drop for Shared {
    /// Nobody can send any more: what is idle or gets free is closed.
    fn drop(&mut self) {
        self.slots.retire();
    }
}
