//! Server: takes the requests of one web server's connection and answers them, on tokio.
//!
//! ```text
//! poll_request -> Request (parameters, Body) -> poll_input, while it is worked at -> stdout… -> end -> poll_flush
//! ```
//!
//! One request at a time: a second one that is begun meanwhile is refused as FCGI_CANT_MPX_CONN, and who asks with
//! FCGI_GET_VALUES is told so. Management records are answered from within.

mod body;
mod output;

use std::{
    io,
    pin::pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};

pub use body::{Body, Cut};

use crate::{
    Params,
    params::Pairs,
    record::{Header, Kind, Malformed, ProtocolStatus, Role},
    request::{Begin, Event, RequestLimits, RequestReader},
    response::{self, End},
};
use body::Feed;
use output::Output;

/// The first read of a connection; most requests need no second one.
const FIRST_READ: usize = 16 << 10;
const MOST_READ: usize = 128 << 10;
/// Below that, a read is not worth its system call.
const LEAST_SPARE: usize = 2 << 10;
/// Answers to management records that a peer may leave unread, in bytes.
const MOST_UNREAD: usize = 64 << 10;

/// One web server's connection.
pub struct Connection<R, W> {
    reader: RequestReader,
    stream: R,
    input: BytesMut,
    want: usize,
    received: u64,
    output: Output<W>,
    /// Where the body of the request in hand goes.
    feed: Option<Feed>,
    /// Whether the end of its body came.
    heard: bool,
    /// The request in hand, or the one before.
    id: u16,
    in_hand: bool,
    /// What FCGI_MAX_CONNS and FCGI_MAX_REQS are told as.
    connections: usize,
}

/// A request whose parameters came.
#[derive(Debug)]
pub struct Request {
    /// The web server wants to use the connection again.
    pub keep: bool,
    /// The packed parameters, without a fault: [`crate::params::pairs`] reads them.
    pub params: Vec<u8>,
    /// The body.
    pub body: Body,
}

/// Why there is no more to be had from a connection.
#[derive(Debug, thiserror::Error)]
pub enum Gone {
    /// The web server closed it.
    #[error("the web server closed the connection")]
    Closed,
    /// The web server gave up on the request in hand (FCGI_ABORT_REQUEST); the connection is as good as before.
    #[error("the web server gave up on the request")]
    Aborted,
    /// It broke.
    #[error("the connection broke")]
    Broken(#[source] io::Error),
    /// What came is not FastCGI.
    #[error("what came is not FastCGI")]
    Garbage(#[source] Malformed),
    /// It asks and asks and does not read the answers.
    #[error("{MOST_UNREAD} bytes of answers to management records were not read")]
    Unread,
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Connection<R, W> {
    /// A connection at its start. `params_len`: bytes of parameters that one request may have; `connections`: how many
    /// the server takes, for those who ask.
    pub fn new(read: R, write: W, params_len: usize, connections: usize) -> Connection<R, W> {
        Connection {
            reader: RequestReader::new(RequestLimits { requests: 1, params_len }),
            stream: read,
            input: BytesMut::new(),
            want: FIRST_READ,
            received: 0,
            output: Output::new(write),
            feed: None,
            heard: true,
            id: 0,
            in_hand: false,
            connections,
        }
    }

    /// Ready with the next request, once the one before was [ended](Connection::end). Nothing is lost if it is not
    /// polled to the end.
    pub fn poll_request(&mut self, cx: &mut Context<'_>) -> Poll<Result<Request, Gone>> {
        loop {
            // Answers to management records.
            if let Poll::Ready(written) = self.output.poll_flush(cx) {
                written.map_err(broken)?;
            }
            match self.step()? {
                Stepped::Begun(begin) => {
                    // Web servers send a small body right behind: it is given whole then.
                    self.in_hand = true;
                    let body = self.open_body()?;
                    return Poll::Ready(Ok(Request { keep: begin.keep, params: begin.params, body }));
                }
                Stepped::Aborted => {
                    // Before its parameters were whole.
                    self.output.end(self.id, ProtocolStatus::Complete);
                    self.reader.ended(self.id);
                }
                Stepped::On => {}
                Stepped::Need | Stepped::Waits => ready!(self.poll_fill(cx))?,
            }
        }
    }

    /// Reads on while a request is worked at: feeds its body, and is ready if the web server has no use for an answer.
    pub fn poll_input(&mut self, cx: &mut Context<'_>) -> Poll<Gone> {
        loop {
            // Who asks about the server need not wait for the answer to the request.
            if self.output.unread() > 0
                && let Poll::Ready(Err(why)) = self.output.poll_flush(cx)
            {
                return Poll::Ready(broken(why));
            }
            if let Some(feed) = &self.feed
                && feed.poll_room(cx).is_pending()
            {
                return Poll::Pending;
            }
            match self.step() {
                Ok(Stepped::Need) => {}
                Ok(Stepped::Aborted) => return Poll::Ready(Gone::Aborted),
                Ok(Stepped::On | Stepped::Begun(_)) => continue,
                Ok(Stepped::Waits) => return Poll::Pending,
                Err(why) => return Poll::Ready(why),
            }
            if let Err(why) = ready!(self.poll_fill(cx)) {
                return Poll::Ready(why);
            }
        }
    }

    /// Whether nothing of a request has come: the connection is idle.
    pub fn is_quiet(&self) -> bool {
        self.input.is_empty() && self.reader.is_between_records() && self.reader.under_way() == 0
    }

    /// Whether another process could go on with the connection: it is idle, and nothing is under way in either direction.
    pub fn is_at_rest(&self) -> bool {
        self.is_quiet() && self.heard && self.output.is_written()
    }

    /// Gives the stream back, which must be [at rest](Connection::is_at_rest).
    pub fn into_parts(self) -> (R, W) {
        (self.stream, self.output.into_stream())
    }

    /// Whether more of the body is expected and wanted.
    pub fn waits_for_body(&self) -> bool {
        self.feed.as_ref().is_some_and(Feed::has_room)
    }

    /// Whether the last request has come to its end, be it answered or not.
    pub fn is_heard(&self) -> bool {
        self.heard
    }

    /// Bytes that came so far.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// The body takes too long: whoever reads it is told so, and what still comes of it is dropped.
    pub fn cut_body(&mut self, why: Cut) {
        if let Some(feed) = self.feed.take() {
            feed.finish(Err(why));
        }
    }

    /// Puts output on its way.
    pub fn stdout(&mut self, bytes: Bytes) {
        self.output.stdout(self.id, bytes);
    }

    /// Puts text for the web server's log on its way.
    pub fn stderr(&mut self, text: &[u8]) {
        self.output.stderr(self.id, text);
    }

    /// The answer is over: what still comes of the request is dropped, and the next one may begin.
    pub fn end(&mut self) {
        self.output.end(self.id, ProtocolStatus::Complete);
        self.reader.ended(self.id);
        self.in_hand = false;
        self.cut_body(Cut::Ended);
    }

    /// Writes what was put on its way; ready when all of it is written.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        self.output.poll_flush(cx).map_err(broken)
    }

    /// Bytes that were written so far.
    pub fn written(&self) -> u64 {
        self.output.written
    }

    /// Tells the web server that nothing more comes.
    pub fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        self.output.poll_shutdown(cx).map_err(broken)
    }

    /// Takes what stands at the front of the input.
    fn step(&mut self) -> Result<Stepped, Gone> {
        if self.in_hand && self.feed.is_none() && self.next_begins() {
            return Ok(Stepped::Waits);
        }
        let Some(found) = self.reader.step(&self.input).map_err(Gone::Garbage)? else {
            return Ok(Stepped::Need);
        };
        let used = found.used;
        let stepped = match found.event {
            None => Stepped::On,
            Some(Event::Begin(begin)) => {
                self.id = begin.id;
                self.heard = false;
                match begin.role {
                    Role::Responder => Stepped::Begun(begin),
                    Role::Authorizer | Role::Filter => {
                        self.output.end(begin.id, ProtocolStatus::UnknownRole);
                        self.reader.ended(begin.id);
                        Stepped::On
                    }
                }
            }
            Some(Event::Stdin { .. }) => {
                let piece = self.input.split_to(used).freeze();
                if let Some(feed) = &self.feed {
                    feed.give(piece);
                }
                return Ok(Stepped::On);
            }
            Some(Event::StdinEnd { .. }) => {
                self.heard = true;
                if let Some(feed) = self.feed.take() {
                    feed.finish(Ok(()));
                }
                Stepped::On
            }
            Some(Event::Abort { id }) => {
                self.id = id;
                Stepped::Aborted
            }
            Some(Event::GetValues(names)) => {
                let values = values(names, self.connections);
                self.output.manage(|out| response::write_values(out, &values));
                Stepped::On
            }
            Some(Event::Refused { id, status }) => {
                self.output
                    .manage(|out| response::write_end(out, id, End { app_status: 0, protocol: status }));
                Stepped::On
            }
            Some(Event::UnknownType(kind)) => {
                self.output.manage(|out| response::write_unknown_type(out, kind));
                Stepped::On
            }
        };
        self.input.advance(used);
        match self.output.unread() > MOST_UNREAD {
            true => Err(Gone::Unread),
            false => Ok(stepped),
        }
    }

    /// The body of the request that began just now: all of it, if it is here already.
    fn open_body(&mut self) -> Result<Body, Gone> {
        let (feed, mut body) = body::pipe();
        self.feed = Some(feed);
        while self.feed.as_ref().is_some_and(Feed::has_room) {
            match self.step()? {
                Stepped::On => {}
                Stepped::Aborted => return Err(Gone::Aborted),
                Stepped::Need | Stepped::Begun(_) | Stepped::Waits => break,
            }
        }
        body.settle();
        Ok(body)
    }

    /// Whether the next record begins another request of the same number: it was sent without waiting for the answer.
    fn next_begins(&self) -> bool {
        let header = self.input.first_chunk().map(Header::parse);
        self.reader.is_between_records()
            && matches!(header, Some(Ok(Header { kind, id, .. })) if kind == Kind::BeginRequest.byte() && id == self.id)
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        if self.input.capacity() - self.input.len() < LEAST_SPARE {
            self.input.reserve(self.want);
        }
        let spare = self.input.capacity() - self.input.len();
        // `read_buf` keeps nothing between polls, so it can be made anew each time.
        let count = match ready!(pin!(self.stream.read_buf(&mut self.input)).poll(cx)) {
            Ok(0) => return Poll::Ready(Err(Gone::Closed)),
            Ok(count) => count,
            Err(why) => return Poll::Ready(Err(broken(why))),
        };
        self.received += count as u64;
        if count == spare {
            self.want = (self.want * 2).min(MOST_READ);
        }
        Poll::Ready(Ok(()))
    }
}

/// What a step took.
enum Stepped {
    /// Nothing: read more.
    Need,
    /// Something that is dealt with.
    On,
    /// The parameters of a request are whole.
    Begun(Begin),
    /// The web server gave up on the request.
    Aborted,
    /// Nothing: the next request is here, and this one is not over.
    Waits,
}

fn values(names: Pairs<'_>, connections: usize) -> Params {
    let most = connections.to_string();
    let mut values = Params::new();
    for (name, _) in names.flatten() {
        match name {
            b"FCGI_MPXS_CONNS" => values.push(name, b"0"),
            b"FCGI_MAX_CONNS" | b"FCGI_MAX_REQS" => values.push(name, most.as_bytes()),
            // What is not known is left out (specification, section 4.1).
            _ => continue,
        };
    }
    values
}

fn broken(why: io::Error) -> Gone {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, UnexpectedEof};
    let gone = [BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, UnexpectedEof];
    if gone.contains(&why.kind()) { Gone::Closed } else { Gone::Broken(why) }
}
