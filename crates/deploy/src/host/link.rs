//! Link: one end of a connection: frames out, frames in, and a watch on whether the other end is still there.
//!
//! A connection may die without a word: a laptop that sleeps, a cable, a router that forgets. So each end sends a ping
//! when it has nothing else to say, and an end that hears nothing for some time takes the other for gone. A far end
//! that waited for ever would hold the deploy lock for ever.

use std::io::{BufReader, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::frame::{Frame, Kind, LONGEST};
use super::stream::{Incoming, Outgoing};

/// How long the ends wait for each other.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// So often something is said.
    pub ping: Duration,
    /// After so long without a word the other end is taken for gone.
    pub gone: Duration,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience { ping: Duration::from_secs(5), gone: Duration::from_secs(30) }
    }
}

/// Why nothing more comes or goes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// The connection is no more.
    #[error("{0}")]
    Lost(String),
    /// The other end said something that has no place here.
    #[error("the other end said something that makes no sense here: {0}")]
    Nonsense(String),
    /// It was told to stop.
    #[error("the deploy was stopped")]
    Stopped,
}

/// One end. Dropped, it says no more, and what waits to be sent is sent.
#[derive(Debug)]
pub struct Link {
    sender: Sender,
    inbox: Receiver<Frame>,
}

/// What can be sent by; as many as are needed.
#[derive(Clone, Debug)]
pub struct Sender {
    out: SyncSender<Option<Frame>>,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    /// Why it is over.
    over: OnceLock<String>,
    /// When something came last.
    heard: Mutex<Instant>,
    /// What came is not taken off our hands: then the silence is ours.
    full: AtomicBool,
    /// Everything was sent that ever will be.
    flushed: AtomicBool,
    /// Set when it is over, and when the other end says stop.
    stop: Arc<AtomicBool>,
}

/// So many frames may wait, each way.
const ROOM: usize = 32;
const TICK: Duration = Duration::from_millis(20);

impl Link {
    /// An end that reads from the one and writes to the other. `stop` is set when the other end says so, or is gone.
    pub fn over(
        from: impl Read + Send + 'static,
        to: impl Write + Send + 'static,
        patience: Patience,
        stop: Arc<AtomicBool>,
    ) -> Link {
        let state = Arc::new(State {
            over: OnceLock::new(),
            heard: Mutex::new(Instant::now()),
            full: AtomicBool::new(false),
            flushed: AtomicBool::new(false),
            stop,
        });
        let (out, outbox) = sync_channel(ROOM);
        let (into, inbox) = sync_channel(ROOM);
        let sender = Sender { out, state: Arc::clone(&state) };
        let reading = Arc::clone(&state);
        std::thread::spawn(move || read(&reading, from, &into));
        let writing = Arc::clone(&state);
        std::thread::spawn(move || write(&writing, to, &outbox, patience.ping));
        std::thread::spawn(move || watch(&state, patience));
        Link { sender, inbox }
    }

    /// What can be sent by.
    pub fn sender(&self) -> &Sender {
        &self.sender
    }

    /// Why it is over, if it is.
    pub fn lost(&self) -> Option<&str> {
        self.sender.state.over.get().map(String::as_str)
    }

    /// The next frame. Waits; `stopped` ends the waiting.
    pub fn next(&self, stopped: &dyn Fn() -> bool) -> Result<Frame, LinkError> {
        loop {
            match self.inbox.recv_timeout(TICK) {
                Ok(frame) => return Ok(frame),
                // What came before the end is read first.
                Err(RecvTimeoutError::Disconnected) => return Err(self.sender.gone()),
                Err(RecvTimeoutError::Timeout) if self.lost().is_some() => return Err(self.sender.gone()),
                Err(RecvTimeoutError::Timeout) if stopped() => return Err(LinkError::Stopped),
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    /// The next message.
    pub fn hear<M: DeserializeOwned>(&self, stopped: &dyn Fn() -> bool) -> Result<M, LinkError> {
        let frame = self.next(stopped)?;
        message(&frame)
    }

    /// The stream of this kind, which ends with an empty frame.
    pub fn stream<'l>(&'l self, kind: Kind, stopped: &'l dyn Fn() -> bool) -> Incoming<'l> {
        Incoming::new(self, kind, stopped)
    }

    /// Waits until everything is sent, or cannot be.
    pub fn flush(&self) {
        self.sender.put(None).unwrap_or(());
        while self.lost().is_none() && !self.sender.state.flushed.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// What a frame says.
pub fn message<M: DeserializeOwned>(frame: &Frame) -> Result<M, LinkError> {
    if frame.kind != Kind::Say {
        return Err(LinkError::Nonsense(format!("a piece of {:?}", frame.kind)));
    }
    serde_json::from_slice(&frame.bytes).map_err(|error| LinkError::Nonsense(error.to_string()))
}

impl Sender {
    /// Sends a message.
    pub fn say(&self, message: &impl Serialize) -> Result<(), LinkError> {
        let bytes = serde_json::to_vec(message).map_err(|error| LinkError::Nonsense(error.to_string()))?;
        if bytes.len() > LONGEST {
            return Err(LinkError::Nonsense(format!("a message of {} bytes is too long", bytes.len())));
        }
        self.send(Frame { kind: Kind::Say, bytes })
    }

    /// Sends a frame; waits while too many wait already.
    pub fn send(&self, frame: Frame) -> Result<(), LinkError> {
        self.put(Some(frame))
    }

    /// A stream of this kind.
    pub fn stream(&self, kind: Kind) -> Outgoing<'_> {
        Outgoing::new(self, kind)
    }

    fn put(&self, frame: Option<Frame>) -> Result<(), LinkError> {
        let mut frame = frame;
        loop {
            if self.state.over.get().is_some() {
                return Err(self.gone());
            }
            match self.out.try_send(frame) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Disconnected(_)) => return Err(self.gone()),
                Err(TrySendError::Full(back)) => frame = back,
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn gone(&self) -> LinkError {
        LinkError::Lost(self.state.over.get().map_or_else(|| "the other end is gone".into(), String::clone))
    }
}

impl State {
    fn end(&self, why: String) {
        // The first reason is the true one; what follows from it is not told.
        self.over.get_or_init(|| why);
        self.stop.store(true, Ordering::SeqCst);
    }

    fn heard(&self) -> MutexGuard<'_, Instant> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(state: &State, from: impl Read, into: &SyncSender<Frame>) {
    let mut from = BufReader::with_capacity(1 << 16, from);
    loop {
        let frame = match Frame::read(&mut from) {
            Ok(Some(frame)) => frame,
            Ok(None) => return state.end("the connection was closed".into()),
            Err(error) => return state.end(error.to_string()),
        };
        *state.heard() = Instant::now();
        match frame.kind {
            Kind::Ping => continue,
            Kind::Stop => {
                state.stop.store(true, Ordering::SeqCst);
                continue;
            }
            Kind::Say | Kind::Tree | Kind::Want | Kind::Data => {}
        }
        state.full.store(true, Ordering::SeqCst);
        let taken = into.send(frame);
        *state.heard() = Instant::now();
        state.full.store(false, Ordering::SeqCst);
        if taken.is_err() {
            return;
        }
    }
}

fn write(state: &State, mut to: impl Write, outbox: &Receiver<Option<Frame>>, ping: Duration) {
    loop {
        let frame = match outbox.recv_timeout(ping) {
            Ok(Some(frame)) => frame,
            Ok(None) => {
                state.flushed.store(true, Ordering::SeqCst);
                continue;
            }
            Err(RecvTimeoutError::Timeout) => Frame { kind: Kind::Ping, bytes: Vec::new() },
            Err(RecvTimeoutError::Disconnected) => return,
        };
        if let Err(error) = frame.write(&mut to).and_then(|()| to.flush()) {
            return state.end(format!("the connection was lost: {error}"));
        }
    }
}

fn watch(state: &State, patience: Patience) {
    while state.over.get().is_none() {
        std::thread::sleep(patience.ping.min(Duration::from_millis(250)));
        let silent = state.heard().elapsed();
        if silent > patience.gone && !state.full.load(Ordering::SeqCst) {
            return state.end(format!("nothing was heard of the other end for {} s", silent.as_secs()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEVER: &dyn Fn() -> bool = &|| false;

    fn pair(patience: Patience) -> (Link, Link) {
        let (near_in, far_out) = std::io::pipe().unwrap();
        let (far_in, near_out) = std::io::pipe().unwrap();
        let stop = || Arc::new(AtomicBool::new(false));
        (Link::over(near_in, near_out, patience, stop()), Link::over(far_in, far_out, patience, stop()))
    }

    #[test]
    fn messages_and_streams_arrive_as_they_were_sent() {
        let (near, far) = pair(Patience::default());
        let sent: Vec<u8> = (0..1_000_000_u32).flat_map(u32::to_le_bytes).collect();
        std::thread::scope(|scope| {
            let (sender, sent) = (near.sender(), &sent);
            scope.spawn(move || {
                sender.say(&"first").unwrap();
                let mut stream = sender.stream(Kind::Data);
                stream.write_all(sent).unwrap();
                stream.end().unwrap();
                sender.say(&"last").unwrap();
            });
            assert_eq!(far.hear::<String>(NEVER).unwrap(), "first");
            let mut got = Vec::new();
            far.stream(Kind::Data, NEVER).read_to_end(&mut got).unwrap();
            assert!(got == *sent);
            assert_eq!(far.hear::<String>(NEVER).unwrap(), "last");
        });
    }

    #[test]
    fn an_end_that_says_nothing_any_more_is_taken_for_gone() {
        let patience = Patience { ping: Duration::from_millis(20), gone: Duration::from_millis(200) };
        let (quiet_in, _quiet_out) = std::io::pipe().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let link = Link::over(quiet_in, std::io::sink(), patience, Arc::clone(&stop));
        assert!(matches!(link.next(NEVER), Err(LinkError::Lost(_))));
        assert!(stop.load(Ordering::SeqCst));
    }

    #[test]
    fn ends_that_have_nothing_to_say_stay_together() {
        let patience = Patience { ping: Duration::from_millis(20), gone: Duration::from_secs(3) };
        let (near, far) = pair(patience);
        std::thread::sleep(Duration::from_millis(3_300));
        assert_eq!((near.lost(), far.lost()), (None, None));
    }

    #[test]
    fn a_stop_is_heard_though_nobody_reads() {
        let (near, far) = pair(Patience::default());
        near.sender().send(Frame { kind: Kind::Stop, bytes: Vec::new() }).unwrap();
        while !far.sender.state.stop.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(5));
        }
        drop(near);
    }

    #[test]
    fn what_was_said_before_the_end_is_still_heard() {
        let (near, far) = pair(Patience::default());
        near.sender().say(&"bye").unwrap();
        near.flush();
        drop(near);
        assert_eq!(far.hear::<String>(NEVER).unwrap(), "bye");
    }
}
