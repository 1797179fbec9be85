//! Slots: how many connections there are, which of them are idle, and who waits in line for one.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use tokio::{
    sync::{Notify, oneshot},
    time::{Instant, sleep_until, timeout},
};

use super::{ClientError, connection::Link};

/// How the connections of a pool are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Occupancy {
    /// Open connections, the idle ones and those that are being opened included.
    pub open: usize,
    /// Those that wait for a request.
    pub idle: usize,
    /// Requests that wait in line.
    pub waiting: usize,
}

pub(super) struct Slots {
    max: usize,
    kept: usize,
    idle: Duration,
    queue_len: usize,
    oldest_first: bool,
    state: Mutex<State>,
    /// An idle connection is to be closed sooner than the reaper thinks.
    sooner: Notify,
}

#[derive(Default)]
struct State {
    /// Slots that are taken; idle connections hold theirs without a [`Slot`].
    open: usize,
    idle: VecDeque<Idle>,
    line: VecDeque<oneshot::Sender<Place>>,
    /// New connections from which nothing was heard: perhaps no worker has taken them yet.
    unheard: BTreeMap<u64, Instant>,
    next_unheard: u64,
    reaping: bool,
    /// The pool is gone: nothing is kept any more.
    retired: bool,
}

impl State {
    /// When the oldest of the unheard counts as starving.
    fn starving_from(&self) -> Option<Instant> {
        self.unheard.first_key_value().map(|(_, since)| *since + STARVING)
    }
}

struct Idle {
    link: Link,
    since: Instant,
}

/// What one gets after a wait.
pub(super) enum Place {
    /// A connection that got free.
    Link(Link),
    /// Leave to open one.
    Room(Slot),
}

/// Leave to have one connection. Dropped, it goes to the next in line.
pub(super) struct Slot {
    /// `None`: the connection is idle, and the slots own it.
    slots: Option<Arc<Slots>>,
    unheard: Option<u64>,
}

/// A new connection that was not answered for so long may wait in the backlog for a worker that an idle connection of
/// ours occupies: then none is kept.
const STARVING: Duration = Duration::from_millis(500);

impl Slots {
    pub fn new(max: usize, kept: usize, idle: Duration, queue_len: usize, oldest_first: bool) -> Arc<Slots> {
        let state = Mutex::default();
        Arc::new(Slots { max, kept, idle, queue_len, oldest_first, state, sooner: Notify::new() })
    }

    pub fn occupancy(&self) -> Occupancy {
        let state = self.lock();
        let waiting = state.line.iter().filter(|one| !one.is_closed()).count();
        Occupancy { open: state.open, idle: state.idle.len(), waiting }
    }

    /// An idle connection, if there is one. It may have died meanwhile.
    pub fn idle(self: &Arc<Slots>) -> Option<Link> {
        let mut state = self.lock();
        let idle = if self.oldest_first { state.idle.pop_front() } else { state.idle.pop_back() };
        let mut link = idle?.link;
        link.slot.slots = Some(self.clone());
        Some(link)
    }

    /// Leave for a connection, or one that got free meanwhile.
    pub async fn place(self: &Arc<Slots>, wait: Duration) -> Result<Place, ClientError> {
        let ticket = {
            let mut state = self.lock();
            if let Some(Idle { mut link, .. }) = state.idle.pop_front() {
                // One that got idle since we looked, or that makes room for a new one.
                link.slot.slots = Some(self.clone());
                return Ok(Place::Link(link));
            }
            if state.open < self.max {
                state.open += 1;
                return Ok(Place::Room(Slot { slots: Some(self.clone()), unheard: None }));
            }
            state.line.retain(|one| !one.is_closed());
            if state.line.len() >= self.queue_len {
                return Err(ClientError::QueueFull { waiting: state.line.len() });
            }
            let (sender, ticket) = oneshot::channel();
            state.line.push_back(sender);
            ticket
        };
        match timeout(wait, ticket).await {
            Ok(Ok(place)) => Ok(place),
            Ok(Err(_)) | Err(_) => Err(ClientError::QueueTimeout { after: wait }),
        }
    }

    pub fn close_idle(&self) {
        let closed = {
            let mut state = self.lock();
            state.open -= state.idle.len();
            std::mem::take(&mut state.idle)
        };
        drop(closed);
    }

    /// Closes the idle connections, and from now on each one that gets free.
    pub fn retire(&self) {
        self.lock().retired = true;
        self.close_idle();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics half-way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody's slot is free: it goes to the next in line.
    fn give_back(self: Arc<Slots>) {
        loop {
            let next = {
                let mut state = self.lock();
                match state.line.pop_front() {
                    Some(next) => next,
                    None => {
                        state.open -= 1;
                        return;
                    }
                }
            };
            match next.send(Place::Room(Slot { slots: Some(self.clone()), unheard: None })) {
                Ok(()) => return,
                // It gave up waiting: to the one behind it.
                Err(Place::Room(mut slot)) => slot.slots = None,
                Err(Place::Link(link)) => drop(link),
            }
        }
    }

    /// Closes idle connections when their time is over; ends when there are none.
    async fn reap(slots: Weak<Slots>) {
        loop {
            let Some(slots) = slots.upgrade() else { return };
            let (expired, next) = {
                let mut state = slots.lock();
                let now = Instant::now();
                let starving = state.starving_from();
                let keep = if starving.is_some_and(|from| from <= now) { Duration::ZERO } else { slots.idle };
                let (expired, idle): (VecDeque<_>, _) =
                    state.idle.drain(..).partition(|idle| idle.since + keep <= now);
                state.idle = idle;
                state.open -= expired.len();
                let next = state.idle.iter().map(|idle| idle.since + keep).min();
                let next = next.map(|next| starving.map_or(next, |from| next.min(from)));
                state.reaping = next.is_some();
                (expired, next)
            };
            drop(expired);
            let Some(next) = next else { return };
            tokio::select! {
                () = sleep_until(next) => {}
                () = slots.sooner.notified() => {}
            }
        }
    }
}

/// A connection is free: to the next in line, else it is kept idle, else closed.
pub(super) fn free(mut link: Link) {
    let Some(slots) = link.slot.slots.clone() else { return };
    if slots.kept == 0 {
        return;
    }
    loop {
        let mut state = slots.lock();
        let Some(next) = state.line.pop_front() else { break slots.keep(state, link) };
        drop(state);
        match next.send(Place::Link(link)) {
            Ok(()) => return,
            // It gave up waiting: to the one behind it.
            Err(Place::Link(back)) => link = back,
            Err(Place::Room(_)) => return,
        }
    }
}

impl Slots {
    fn keep(self: &Arc<Slots>, mut state: MutexGuard<'_, State>, mut link: Link) {
        let now = Instant::now();
        let starving = state.starving_from();
        if starving.is_some_and(|from| from <= now) || state.retired || state.idle.len() >= self.kept {
            // Unlocked first: closing gives the slot back.
            drop(state);
            drop(link);
            return;
        }
        link.slot.slots = None;
        state.idle.push_back(Idle { link, since: now });
        let reaping = std::mem::replace(&mut state.reaping, true);
        drop(state);
        if !reaping {
            match tokio::runtime::Handle::try_current() {
                Ok(runtime) => drop(runtime.spawn(Slots::reap(Arc::downgrade(self)))),
                Err(_) => self.lock().reaping = false,
            }
        } else if starving.is_some() {
            self.sooner.notify_one();
        }
    }
}

impl Slot {
    /// Its connection is new.
    pub fn connected(&mut self) {
        let Some(slots) = &self.slots else { return };
        // With all connections kept there is no backlog that we could keep waiting.
        if slots.kept == 0 || slots.kept >= slots.max {
            return;
        }
        let mut state = slots.lock();
        let number = state.next_unheard;
        state.next_unheard += 1;
        state.unheard.insert(number, Instant::now());
        self.unheard = Some(number);
    }

    /// A worker answers on its connection.
    pub fn heard(&mut self) {
        if let (Some(number), Some(slots)) = (self.unheard.take(), &self.slots) {
            slots.lock().unheard.remove(&number);
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.heard();
        if let Some(slots) = self.slots.take() {
            slots.give_back();
        }
    }
}

impl fmt::Debug for Slots {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.occupancy().fmt(out)
    }
}
