//! Client: sends requests to FastCGI responders over kept connections, on tokio.
//!
//! ```text
//! Pool::send -> a connection (idle, new, or after a wait in line) -> Exchange (writes and reads at once) -> Response
//! ResponseBody: its last byte hands the connection to `settle`, which waits for the probe's answer and frees it;
//!               dropped before, the request is aborted.
//! ```

mod body;
mod connection;
mod exchange;
mod pool;
mod settle;
mod slots;

use std::{any::Any, fmt, io, pin::Pin, task, time::Duration};

use bytes::Bytes;

pub use body::ResponseBody;
pub use pool::{Policy, Pool, PoolOptions};
pub use slots::Occupancy;

use crate::{
    Address, Head, Params,
    head::HeadError,
    record::{Malformed, ProtocolStatus},
};

/// A request to be sent.
pub struct Request {
    /// The parameters. With a body they must say CONTENT_LENGTH: PHP reads no more than that.
    pub params: Params,
    /// The body.
    pub body: Body,
    /// It may be sent twice if it is not known whether the first one was run (GET and HEAD only).
    pub idempotent: bool,
    /// Dropped when the worker is free again, which may be long after the response is over.
    pub until_free: Option<Held>,
    /// Told what the responder writes for the log, one record at a time.
    pub log: Option<Log>,
}

/// Anything that is to be held as long as a worker works.
pub type Held = Box<dyn Any + Send>;

/// Takes what a responder writes for the log.
pub type Log = Box<dyn FnMut(&[u8]) + Send>;

impl Request {
    /// A request without a body that may not be sent twice, with nothing held and nobody told.
    pub fn new(params: Params) -> Request {
        Request { params, body: Body::Empty, idempotent: false, until_free: None, log: None }
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Request")
            .field("params", &self.params)
            .field("body", &self.body)
            .finish_non_exhaustive()
    }
}

/// A request's body.
pub enum Body {
    /// None.
    Empty,
    /// All of it.
    Whole(Bytes),
    /// It comes in pieces, which are asked for when there is room for them.
    Stream(Pin<Box<dyn BodySource>>),
}

impl fmt::Debug for Body {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Body::Empty => out.write_str("Empty"),
            Body::Whole(bytes) => write!(out, "Whole({} bytes)", bytes.len()),
            Body::Stream(_) => out.write_str("Stream"),
        }
    }
}

/// Where the pieces of a request's body come from.
pub trait BodySource: Send {
    /// The next piece; `None` after the last one; an error if there will be no more although there should be.
    fn poll_piece(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> task::Poll<Option<io::Result<Bytes>>>;
}

/// A response whose head is read.
#[derive(Debug)]
pub struct Response {
    /// Status and header fields.
    pub head: Head,
    /// The body, still on its way.
    pub body: ResponseBody,
}

/// Why there is no response, or no more of it.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No responder took the connection.
    #[error("cannot connect to {address}")]
    Connect {
        /// The last one that was tried.
        address: Address,
        /// Why it did not.
        source: io::Error,
    },
    /// Too many requests wait for a connection.
    #[error("all connections are busy and {waiting} requests wait already")]
    QueueFull {
        /// How many wait.
        waiting: usize,
    },
    /// No connection got free in time.
    #[error("no connection got free within {after:?}")]
    QueueTimeout {
        /// How long the request waited.
        after: Duration,
    },
    /// The responder neither sent nor took a byte in time.
    #[error("silence for {after:?} {}", when(*.heard))]
    Timeout {
        /// How long it was silent.
        after: Duration,
        /// Whether it had begun to answer.
        heard: bool,
    },
    /// The responder closed the connection; whether the request was run is not known.
    #[error("the connection was closed {}", when(*.heard))]
    ClosedEarly {
        /// Whether it had begun to answer.
        heard: bool,
    },
    /// The connection broke otherwise.
    #[error("the connection broke")]
    Broken(#[source] io::Error),
    /// The responder does not speak FastCGI.
    #[error("what came is not FastCGI")]
    Garbage(#[source] Malformed),
    /// The response has no usable headers.
    #[error("the response has no usable headers")]
    Head(#[source] HeadError),
    /// The responder has no room (FCGI_OVERLOADED).
    #[error("the responder is overloaded")]
    Overloaded,
    /// The responder takes one request per connection (FCGI_CANT_MPX_CONN).
    #[error("the responder cannot multiplex")]
    CantMultiplex,
    /// The responder answers no web requests (FCGI_UNKNOWN_ROLE).
    #[error("the responder does not know the role of a responder")]
    UnknownRole,
    /// The request's own body failed.
    #[error("the request's body did not come")]
    RequestBody(#[source] io::Error),
}

impl ClientError {
    fn refused(status: ProtocolStatus) -> Option<ClientError> {
        match status {
            ProtocolStatus::Complete => None,
            ProtocolStatus::CantMultiplex => Some(ClientError::CantMultiplex),
            ProtocolStatus::Overloaded => Some(ClientError::Overloaded),
            ProtocolStatus::UnknownRole => Some(ClientError::UnknownRole),
        }
    }
}

fn when(heard: bool) -> &'static str {
    if heard { "within the response" } else { "before the response" }
}
