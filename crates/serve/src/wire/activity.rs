//! Activity: what a connection waits for and since when, so that one sweep per half second can end what
//! takes too long, instead of a timer per request.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// How long a connection may wait for what.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For the rest of a head, or a TLS handshake.
    pub head: Duration,
    /// Between two reads of a request body.
    pub body: Duration,
    /// For the client to take some of a response.
    pub send: Duration,
    /// For the next request.
    pub idle: Duration,
}

/// Shared by a connection's stream, its requests, and the sweep. Times are ms since [`Activity::epoch`], plus 1.
#[derive(Debug)]
pub struct Activity {
    epoch: Instant,
    requests: AtomicU32,
    idle_since: AtomicU64,
    head_since: AtomicU64,
    read_since: AtomicU64,
    write_since: AtomicU64,
    overdue: AtomicBool,
    closing: AtomicBool,
    upgraded: AtomicBool,
    multiplexed: AtomicBool,
    passable: AtomicBool,
    refusal: std::sync::Mutex<Option<super::head::Refusal>>,
    wake: Notify,
}

impl Activity {
    /// A connection that was just accepted.
    pub fn new(epoch: Instant) -> Self {
        let activity = Self {
            epoch,
            requests: AtomicU32::new(0),
            idle_since: AtomicU64::new(0),
            head_since: AtomicU64::new(0),
            read_since: AtomicU64::new(0),
            write_since: AtomicU64::new(0),
            overdue: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            upgraded: AtomicBool::new(false),
            multiplexed: AtomicBool::new(false),
            passable: AtomicBool::new(false),
            refusal: std::sync::Mutex::new(None),
            wake: Notify::new(),
        };
        activity.idle_since.store(activity.now(), Ordering::Relaxed);
        activity
    }

    fn now(&self) -> u64 {
        self.epoch.elapsed().as_millis() as u64 + 1
    }

    /// A request begins. Its end is [`Self::request_ended`].
    pub fn request_began(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// The last byte of a response was handed to the connection.
    pub fn request_ended(&self) {
        self.idle_since.store(self.now(), Ordering::Relaxed);
        self.requests.fetch_sub(1, Ordering::Relaxed);
    }

    /// Whether no request is in flight.
    pub fn is_idle(&self) -> bool {
        self.requests.load(Ordering::Relaxed) == 0 && self.head_since.load(Ordering::Relaxed) == 0
    }

    /// A head is there in part; counted from its first byte.
    pub(crate) fn head_partial(&self) {
        if self.head_since.load(Ordering::Relaxed) == 0 {
            self.head_since.store(self.now(), Ordering::Relaxed);
        }
    }

    pub(crate) fn head_whole(&self) {
        self.head_since.store(0, Ordering::Relaxed);
    }

    pub(crate) fn body_wanted(&self) {
        self.read_since.store(self.now(), Ordering::Relaxed);
    }

    pub(crate) fn read_progressed(&self) {
        self.read_since.store(0, Ordering::Relaxed);
    }

    pub(crate) fn write_blocked(&self) {
        if self.write_since.load(Ordering::Relaxed) == 0 {
            self.write_since.store(self.now(), Ordering::Relaxed);
        }
    }

    pub(crate) fn write_progressed(&self) {
        self.write_since.store(0, Ordering::Relaxed);
    }

    pub(crate) fn is_write_blocked(&self) -> bool {
        self.write_since.load(Ordering::Relaxed) != 0
    }

    /// Compares with the clock; a stuck connection finds it out at its next poll, which this wakes.
    pub fn sweep(&self, patience: &Patience) {
        let now = self.now();
        let over = |since: &AtomicU64, limit: Duration| {
            let since = since.load(Ordering::Relaxed);
            since != 0 && now.saturating_sub(since) > limit.as_millis() as u64
        };
        if over(&self.head_since, patience.head)
            || over(&self.read_since, patience.body)
            || over(&self.write_since, patience.send)
        {
            self.overdue.store(true, Ordering::Relaxed);
            self.wake.notify_one();
        } else if self.is_idle() && !self.is_upgraded() && over(&self.idle_since, patience.idle) {
            self.close();
        }
    }

    /// Asks the connection to end after the response in hand, at once if there is none.
    pub fn close(&self) {
        self.closing.store(true, Ordering::Release);
        self.wake.notify_one();
    }

    /// Whether it was asked to end.
    pub fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    pub(crate) fn is_overdue(&self) -> bool {
        self.overdue.load(Ordering::Relaxed)
    }

    pub(crate) fn took_note(&self) {
        self.overdue.store(false, Ordering::Relaxed);
    }

    /// The bytes behind the head in hand are not HTTP/1.
    pub fn upgrade(&self) {
        self.upgraded.store(true, Ordering::Release);
    }

    /// Whether [`Self::upgrade`] was called.
    pub fn is_upgraded(&self) -> bool {
        self.upgraded.load(Ordering::Acquire)
    }

    /// The connection speaks HTTP/2: it can be told to go away without losing a request.
    pub fn multiplex(&self) {
        self.multiplexed.store(true, Ordering::Release);
    }

    /// Whether [`Self::multiplex`] was called.
    pub fn is_multiplexed(&self) -> bool {
        self.multiplexed.load(Ordering::Acquire)
    }

    /// Between two requests another process can go on with the connection.
    pub fn can_be_passed(&self) {
        self.passable.store(true, Ordering::Release);
    }

    /// Whether [`Self::can_be_passed`] was called.
    pub fn is_passable(&self) -> bool {
        self.passable.load(Ordering::Acquire)
    }

    /// Has the connection look again.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    pub(crate) fn refuse(&self, why: super::head::Refusal) {
        *self.refusal.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(why);
    }

    /// Why the guard put its stand-in in the place of a head.
    pub fn refusal(&self) -> Option<super::head::Refusal> {
        *self.refusal.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Resolves when the connection's task has to look: it is late, or is asked to end.
    pub async fn woken(&self) {
        self.wake.notified().await;
    }
}
