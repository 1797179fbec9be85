//! Body: what a web server sends behind its parameters, on its way to whoever works at the request.

use std::{
    collections::VecDeque,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;

/// So much may wait to be taken, in bytes, before no more is read.
const ROOM: usize = 128 << 10;

/// A request's body.
#[derive(Debug)]
pub struct Body {
    state: State,
}

#[derive(Debug)]
enum State {
    /// All that is still to be taken of it.
    Here(Bytes),
    /// Some is still to come.
    Coming(Arc<Pipe>),
}

/// Why a body ends before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Cut {
    /// The web server closed the connection or gave up.
    #[error("the web server stopped sending it")]
    Gone,
    /// Too long a silence.
    #[error("it did not come in time")]
    Late,
    /// The request was answered without it.
    #[error("the request is over")]
    Ended,
}

impl Body {
    /// No body, not even a piece.
    pub fn empty() -> Body {
        Body { state: State::Here(Bytes::new()) }
    }

    /// Whether all of it was taken, as far as is known already.
    pub fn is_end(&self) -> bool {
        match &self.state {
            State::Here(bytes) => bytes.is_empty(),
            State::Coming(pipe) => {
                let pipe = pipe.lock();
                pipe.pieces.is_empty() && pipe.end == Some(Ok(()))
            }
        }
    }

    /// The next piece, never empty; `None` after the last one.
    pub fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Cut>>> {
        let pipe = match &mut self.state {
            State::Here(bytes) => {
                let all = mem::take(bytes);
                return Poll::Ready((!all.is_empty()).then_some(Ok(all)));
            }
            State::Coming(pipe) => pipe,
        };
        let mut pipe = pipe.lock();
        if let Some(piece) = pipe.pieces.pop_front() {
            pipe.waiting -= piece.len();
            if let Some(feeder) = pipe.feeder.take() {
                feeder.wake();
            }
            return Poll::Ready(Some(Ok(piece)));
        }
        match pipe.end {
            Some(Ok(())) => Poll::Ready(None),
            Some(Err(why)) => Poll::Ready(Some(Err(why))),
            None => {
                pipe.taker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Lets go of the pipe if all of it is here, in one piece at most.
    pub(super) fn settle(&mut self) {
        let State::Coming(pipe) = &self.state else { return };
        let mut pipe = pipe.lock();
        if pipe.end == Some(Ok(())) && pipe.pieces.len() < 2 {
            let bytes = pipe.pieces.pop_front().unwrap_or_default();
            drop(pipe);
            self.state = State::Here(bytes);
        }
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        if let State::Coming(pipe) = &self.state {
            let mut pipe = pipe.lock();
            pipe.unwanted = true;
            pipe.pieces.clear();
            pipe.waiting = 0;
            if let Some(feeder) = pipe.feeder.take() {
                feeder.wake();
            }
        }
    }
}

/// The end of a body that the connection feeds.
pub(super) struct Feed {
    pipe: Arc<Pipe>,
}

#[derive(Debug, Default)]
struct Pipe(Mutex<Inside>);

#[derive(Debug, Default)]
struct Inside {
    pieces: VecDeque<Bytes>,
    waiting: usize,
    end: Option<Result<(), Cut>>,
    unwanted: bool,
    taker: Option<Waker>,
    feeder: Option<Waker>,
}

impl Pipe {
    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn pipe() -> (Feed, Body) {
    let pipe = Arc::new(Pipe::default());
    (Feed { pipe: Arc::clone(&pipe) }, Body { state: State::Coming(pipe) })
}

impl Feed {
    /// Ready when more may be given.
    pub fn poll_room(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut pipe = self.pipe.lock();
        if pipe.waiting < ROOM {
            return Poll::Ready(());
        }
        pipe.feeder = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Whether more may be given.
    pub fn has_room(&self) -> bool {
        self.pipe.lock().waiting < ROOM
    }

    /// Passes a piece on; one that nobody wants is dropped.
    pub fn give(&self, piece: Bytes) {
        let mut pipe = self.pipe.lock();
        if !pipe.unwanted {
            pipe.waiting += piece.len();
            pipe.pieces.push_back(piece);
            if let Some(taker) = pipe.taker.take() {
                taker.wake();
            }
        }
    }

    /// There is no more of it.
    pub fn finish(self, how: Result<(), Cut>) {
        self.end(how);
    }

    fn end(&self, how: Result<(), Cut>) {
        let mut pipe = self.pipe.lock();
        if pipe.end.is_none() {
            pipe.end = Some(how);
            if let Some(taker) = pipe.taker.take() {
                taker.wake();
            }
        }
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.end(Err(Cut::Gone));
    }
}
