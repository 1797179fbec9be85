//! ResponseBody: the output of a script as it comes.

use std::{
    fmt,
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};

use super::{
    ClientError,
    exchange::{Event, Exchange},
};

/// The body of a response. Dropped before its end, the request is aborted: the connection is closed, which PHP-FPM
/// notices when it next writes.
pub struct ResponseBody {
    state: State,
}

/// A whole body up to this length is copied out of the read buffer.
const COPIED: usize = 4 << 10;

enum State {
    Open(Exchange),
    /// Ended, with the script's exit status.
    Ended(u32),
    Failed,
}

impl ResponseBody {
    pub(super) fn new(exchange: Exchange) -> ResponseBody {
        ResponseBody { state: State::Open(exchange) }
    }

    /// The next piece, never empty; `None` after the last one. Nothing is read ahead: who does not ask lets the
    /// script wait. While it waits, the rest of the request's body is sent.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, ClientError> {
        std::future::poll_fn(|cx| self.poll_chunk(cx)).await
    }

    /// [`ResponseBody::chunk`] for those who poll.
    pub fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, ClientError>> {
        let State::Open(exchange) = &mut self.state else { return Poll::Ready(Ok(None)) };
        match exchange.poll_event(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(Event::Stdout(count))) => Poll::Ready(Ok(Some(exchange.take(count)))),
            Poll::Ready(Ok(Event::End(end))) => {
                self.state = State::Ended(end.app_status);
                Poll::Ready(Ok(None))
            }
            Poll::Ready(Err(why)) => {
                self.state = State::Failed;
                Poll::Ready(Err(why))
            }
        }
    }

    /// Whether the rest of the body was read already, together with its end.
    pub fn buffered_whole(&self) -> bool {
        match &self.state {
            State::Open(exchange) => exchange.buffered_len().is_some(),
            State::Ended(_) => true,
            State::Failed => false,
        }
    }

    /// Takes the whole rest of the body, if it was read already together with its end; the connection is free then.
    /// `None`: it was not, or it is faulty, which [`ResponseBody::chunk`] will tell.
    pub fn take_whole(&mut self) -> Option<Bytes> {
        let State::Open(exchange) = &mut self.state else { return None };
        let len = exchange.buffered_len()?;
        let mut whole = Bytes::new();
        let mut joined = BytesMut::new();
        loop {
            match exchange.buffered().ok()?? {
                // A short one is copied: a piece of the read buffer would keep the connection from using it again.
                Event::Stdout(count) if count == len && len > COPIED => whole = exchange.take(count),
                Event::Stdout(count) => {
                    joined.reserve(len - joined.len());
                    joined.extend_from_slice(&exchange.take(count));
                }
                Event::End(end) => {
                    self.state = State::Ended(end.app_status);
                    return Some(if joined.is_empty() { whole } else { joined.freeze() });
                }
            }
        }
    }

    /// The script's exit status, once the body ended.
    pub fn app_status(&self) -> Option<u32> {
        match &self.state {
            State::Ended(status) => Some(*status),
            State::Open(_) | State::Failed => None,
        }
    }
}

impl fmt::Debug for ResponseBody {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match &self.state {
            State::Open(_) => "ResponseBody(open)",
            State::Ended(_) => "ResponseBody(ended)",
            State::Failed => "ResponseBody(failed)",
        })
    }
}
