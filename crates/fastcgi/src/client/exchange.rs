//! Exchange: one request and its response on a connection, both ways at once.

use std::{
    io, mem,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Buf, Bytes};

use super::{Body, ClientError, Held, Log, Request, connection::Link, settle};
use crate::{
    Head,
    head::{HeadError, HeadProgress, HeadReader},
    record::{FULL_CONTENT, Header, Kind, REQUEST_ID, Role},
    request::{write_begin, write_probe, write_stdin, write_stdin_end},
    response::{End, Step},
};

pub(super) struct Exchange {
    /// `None`: over.
    link: Option<Link>,
    upload: Upload,
    until_free: Option<Held>,
    log: Option<Log>,
    /// A byte of the response came.
    heard: bool,
    /// The probe's answer came.
    free: bool,
    silence: Duration,
    probe: bool,
    reused: bool,
    lost: Lost,
}

/// How a kept connection was lost before a byte of the response came.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lost {
    No,
    /// Nothing of the request was written: it cannot have been run.
    Unwritten,
    /// It may have been run.
    Unanswered,
}

/// What is still to be sent of the body, beyond what the connection has yet to write.
enum Upload {
    /// The rest of a piece, and where further ones come from.
    Body { rest: Bytes, source: Body },
    /// The end of the body was given to the connection.
    Ended,
    /// The responder takes no more. What it has to say may still come.
    Refused,
}

/// What came of a response.
pub(super) enum Event {
    /// So many bytes of output stand at the front of the input; say how many you took with [`Exchange::take`].
    Stdout(usize),
    /// The response is over.
    End(End),
}

/// A body up to this length is copied behind the parameters, so that all of it is one system call.
const JOINED_BODY: usize = 32 << 10;

impl Exchange {
    /// Puts the request on the connection; nothing is written before the first poll.
    pub fn begin(mut link: Link, request: &mut Request, silence: Duration, probe: bool) -> Exchange {
        let out = &mut link.out;
        write_begin(out, REQUEST_ID, Role::Responder, true, &request.params);
        let upload = match &mut request.body {
            Body::Whole(bytes) if bytes.len() > JOINED_BODY => {
                Upload::Body { rest: bytes.clone(), source: Body::Empty }
            }
            Body::Stream(_) => {
                Upload::Body { rest: Bytes::new(), source: mem::replace(&mut request.body, Body::Empty) }
            }
            Body::Empty | Body::Whole(_) => {
                if let Body::Whole(bytes) = &request.body {
                    write_stdin(out, REQUEST_ID, bytes);
                }
                write_last(out, probe);
                Upload::Ended
            }
        };
        Exchange {
            reused: link.reused,
            link: Some(link),
            upload,
            until_free: request.until_free.take(),
            log: request.log.take(),
            heard: false,
            free: false,
            silence,
            probe,
            lost: Lost::No,
        }
    }

    /// After an error: whether the request may be sent once more. It may if the connection turned out to be dead
    /// before the request was written, or before a request without a body that may be run twice was answered.
    /// Gives back to the request what [`Exchange::begin`] took from it.
    pub fn undo(mut self, request: &mut Request) -> bool {
        let again = match self.lost {
            Lost::No => false,
            Lost::Unwritten => true,
            Lost::Unanswered => {
                request.idempotent && matches!(request.body, Body::Empty) && self.is_sent_whole()
            }
        };
        if again {
            request.until_free = self.until_free.take();
            request.log = self.log.take();
            let upload = mem::replace(&mut self.upload, Upload::Ended);
            if let Upload::Body { source: source @ Body::Stream(_), .. } = upload {
                request.body = source;
            }
        }
        again
    }

    /// Waits for the head of the response. Ok leaves the rest of the output in the connection.
    pub async fn head(&mut self, limit: usize) -> Result<Head, ClientError> {
        let mut reader = HeadReader::new(limit);
        loop {
            let event = std::future::poll_fn(|cx| self.poll_event(cx)).await?;
            let Event::Stdout(count) = event else { return Err(ClientError::Head(HeadError::CutShort)) };
            let Some(link) = &mut self.link else { return Err(ClientError::ClosedEarly { heard: true }) };
            match reader.feed(&link.input[..count]).map_err(ClientError::Head)? {
                HeadProgress::More => self.skip(count),
                HeadProgress::Done { head, used } => {
                    self.skip(used);
                    return Ok(head);
                }
            }
        }
    }

    /// The next of the response. After an error there is no more.
    pub fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Result<Event, ClientError>> {
        let event = self.poll_next(cx);
        if let Poll::Ready(Err(why)) = &event {
            self.failed(why);
        }
        event
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Event, ClientError>> {
        loop {
            if let Some(event) = self.buffered()? {
                return Poll::Ready(Ok(event));
            }
            let sent = self.poll_upload(cx)?;
            let closed = || Err(ClientError::ClosedEarly { heard: self.heard });
            let Some(link) = &mut self.link else { return Poll::Ready(closed()) };
            match link.poll_fill(cx) {
                Poll::Ready(Ok(0)) => return Poll::Ready(closed()),
                Poll::Ready(Ok(_)) => {
                    self.heard = true;
                    link.slot.heard();
                }
                Poll::Ready(Err(why)) if is_gone(&why) => return Poll::Ready(closed()),
                Poll::Ready(Err(why)) => return Poll::Ready(Err(ClientError::Broken(why))),
                // It is not the responder that is slow, it is the sender of the body.
                Poll::Pending if sent == Sent::WaitsForBody => return Poll::Pending,
                Poll::Pending => {
                    let (after, heard) = (self.silence, self.heard);
                    return link.poll_silence(cx, after).map(|()| Err(ClientError::Timeout { after, heard }));
                }
            }
        }
    }

    /// The next of the response, as far as it was read already.
    pub fn buffered(&mut self) -> Result<Option<Event>, ClientError> {
        let Some(link) = &mut self.link else { return Ok(None) };
        loop {
            let count = match link.reader.step(&link.input).map_err(ClientError::Garbage)? {
                Step::Need => return Ok(None),
                Step::Stdout(count) => return Ok(Some(Event::Stdout(count))),
                Step::End(count, end) => {
                    link.input.advance(count);
                    return match ClientError::refused(end.protocol) {
                        Some(why) => Err(why),
                        None => {
                            self.finish();
                            Ok(Some(Event::End(end)))
                        }
                    };
                }
                Step::Stderr(count) => {
                    if let Some(log) = &mut self.log {
                        log(&link.input[..count]);
                    }
                    count
                }
                Step::Values(count) => {
                    self.free = true;
                    count
                }
                Step::Skip(count) => count,
            };
            link.input.advance(count);
        }
    }

    /// How many bytes of output are still to come, if all of them were read already.
    pub fn buffered_len(&self) -> Option<usize> {
        let link = self.link.as_ref()?;
        link.reader.whole_len(&link.input)
    }

    /// Takes so many bytes of an [`Event::Stdout`].
    pub fn take(&mut self, count: usize) -> Bytes {
        let Some(link) = &mut self.link else { return Bytes::new() };
        link.reader.took(count);
        link.input.split_to(count.min(link.input.len())).freeze()
    }

    fn skip(&mut self, count: usize) {
        if let Some(link) = &mut self.link {
            link.reader.took(count);
            link.input.advance(count);
        }
    }

    /// Lets go of a connection that is of no use any more. One whose worker may still be at it is left to [`Drop`].
    fn failed(&mut self, why: &ClientError) {
        match why {
            ClientError::Timeout { .. } | ClientError::RequestBody(_) | ClientError::Head(_) => return,
            ClientError::ClosedEarly { heard: false } if self.reused => {
                let wrote = self.link.as_ref().is_none_or(|link| link.wrote);
                self.lost = if wrote { Lost::Unanswered } else { Lost::Unwritten };
            }
            ClientError::ClosedEarly { .. }
            | ClientError::Broken(_)
            | ClientError::Garbage(_)
            | ClientError::Overloaded
            | ClientError::CantMultiplex
            | ClientError::UnknownRole
            | ClientError::Connect { .. }
            | ClientError::QueueFull { .. }
            | ClientError::QueueTimeout { .. } => {}
        }
        self.link = None;
    }

    fn is_sent_whole(&self) -> bool {
        matches!(self.upload, Upload::Ended)
    }

    fn poll_upload(&mut self, cx: &mut Context<'_>) -> Result<Sent, ClientError> {
        let Some(link) = &mut self.link else { return Ok(Sent::All) };
        loop {
            if matches!(self.upload, Upload::Refused) {
                return Ok(Sent::All);
            }
            match link.poll_flush(cx) {
                Poll::Pending => return Ok(Sent::WaitsForResponder),
                Poll::Ready(Ok(())) => {}
                // It may have answered before it closed: read on.
                Poll::Ready(Err(why)) if is_gone(&why) => {
                    if link.reused && !link.wrote {
                        return Err(ClientError::ClosedEarly { heard: false });
                    }
                    self.upload = Upload::Refused;
                }
                Poll::Ready(Err(why)) => return Err(ClientError::Broken(why)),
            }
            let Upload::Body { rest, source } = &mut self.upload else { return Ok(Sent::All) };
            if !rest.is_empty() {
                let piece = rest.split_to(rest.len().min(FULL_CONTENT));
                let content = u16::try_from(piece.len()).unwrap_or(u16::MAX);
                let header = Header { kind: Kind::Stdin.byte(), id: REQUEST_ID, content, padding: 0 };
                link.out.extend_from_slice(&header.bytes());
                link.tail = piece;
                continue;
            }
            let Body::Stream(stream) = source else {
                write_last(&mut link.out, self.probe);
                self.upload = Upload::Ended;
                continue;
            };
            match stream.as_mut().poll_piece(cx) {
                Poll::Pending => return Ok(Sent::WaitsForBody),
                Poll::Ready(Some(Ok(piece))) => *rest = piece,
                Poll::Ready(Some(Err(why))) => return Err(ClientError::RequestBody(why)),
                Poll::Ready(None) => *source = Body::Empty,
            }
        }
    }

    /// The response is over: the connection goes on without us.
    fn finish(&mut self) {
        let Some(link) = self.link.take() else { return };
        let held = self.until_free.take();
        match &self.upload {
            Upload::Ended if link.is_flushed() && (self.free || !self.probe) => {
                drop(held);
                settle::free(link);
            }
            Upload::Ended if link.is_flushed() => settle::settle(link, held),
            // It answered without hearing us out, so it is out of step.
            Upload::Ended | Upload::Body { .. } | Upload::Refused => settle::abort(link, held, false),
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if let Some(link) = self.link.take() {
            let sent_all = matches!(self.upload, Upload::Ended) && link.is_flushed();
            settle::abort(link, self.until_free.take(), sent_all);
        }
    }
}

/// How far the upload is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sent {
    All,
    WaitsForResponder,
    WaitsForBody,
}

fn write_last(out: &mut Vec<u8>, probe: bool) {
    write_stdin_end(out, REQUEST_ID);
    if probe {
        write_probe(out);
    }
}

/// The other end is not there any more.
fn is_gone(why: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, UnexpectedEof};
    let gone = [BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, UnexpectedEof];
    gone.contains(&why.kind())
}
