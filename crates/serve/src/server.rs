//! Server: what one process serves: its doors, its connections, and how they end.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, Semaphore};

use crate::auth::Checked;
use crate::handover::Heir;
use crate::log::ErrorLog;
use crate::metrics::Metrics;
use crate::wire::activity::{Activity, Patience};

/// When fewer than a tenth of the places are free, a connection without a request is closed after this time.
const CROWDED_IDLE: Duration = Duration::from_secs(1);

/// Shared by all connections of the process.
pub struct Server {
    /// When it began; the clock of every connection.
    pub epoch: Instant,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// What happens is told here.
    pub log: ErrorLog,
    /// Passwords that were found right.
    pub checked: Checked,
    /// Places for connections.
    pub places: Arc<Semaphore>,
    /// How many places there are.
    pub places_most: usize,
    connections: Mutex<HashMap<u64, (Arc<Activity>, Patience)>>,
    next: AtomicU64,
    draining: AtomicBool,
    heir: OnceLock<Heir>,
    /// Fires when draining begins, and whenever a connection ends.
    pub changed: Notify,
}

/// An open connection, in the list for as long as it lives.
pub struct Registered {
    server: Arc<Server>,
    number: u64,
    /// What it waits for.
    pub activity: Arc<Activity>,
}

impl Server {
    /// A server with places for so many connections.
    pub fn new(metrics: Arc<Metrics>, log: ErrorLog, connections: usize) -> Self {
        Self {
            epoch: Instant::now(),
            metrics,
            log,
            checked: Checked::default(),
            places: Arc::new(Semaphore::new(connections.min(Semaphore::MAX_PERMITS))),
            places_most: connections,
            connections: Mutex::default(),
            next: AtomicU64::new(0),
            draining: AtomicBool::new(false),
            heir: OnceLock::new(),
            changed: Notify::new(),
        }
    }

    /// Puts a connection into the list.
    pub fn register(self: &Arc<Self>, patience: Patience) -> Registered {
        let activity = Arc::new(Activity::new(self.epoch));
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.list().insert(number, (Arc::clone(&activity), patience));
        self.metrics.connections.inc();
        Registered { server: Arc::clone(self), number, activity }
    }

    /// Ends what takes too long. Idle connections go early when places run out, and after `idle` if given.
    pub fn sweep(&self, idle: Option<Duration>) {
        let crowded = self.places.available_permits() * 10 < self.places_most;
        let idle = idle.or(crowded.then_some(CROWDED_IDLE));
        for (activity, patience) in self.list().values() {
            let idle = idle.map_or(patience.idle, |idle| idle.min(patience.idle));
            activity.sweep(&Patience { idle, ..*patience });
        }
    }

    /// Connections that are open.
    pub fn open(&self) -> usize {
        self.list().len()
    }

    /// Begins to drain. HTTP/2 connections are told to go away; on HTTP/1 the next response says `close`, for a
    /// request may be under way on a connection that looks idle. The sweep ends those where none comes. What an heir
    /// takes is passed on to it.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::SeqCst);
        for (activity, _) in self.list().values() {
            if activity.is_multiplexed() {
                activity.close();
            }
            if activity.is_passable() {
                activity.wake();
            }
        }
        self.changed.notify_waiters();
    }

    /// Whether it is draining.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::SeqCst)
    }

    /// Another process serves now.
    pub fn has_heir(&self, heir: Heir) {
        // There is one only: this process begins to drain as soon as it has it.
        self.heir.set(heir).unwrap_or_default();
    }

    /// The process that takes open connections, once there is one.
    pub fn heir(&self) -> Option<&Heir> {
        self.heir.get().filter(|heir| heir.takes())
    }

    fn list(&self) -> std::sync::MutexGuard<'_, HashMap<u64, (Arc<Activity>, Patience)>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.server.list().remove(&self.number);
        self.server.metrics.connections.dec();
        self.server.changed.notify_waiters();
    }
}
