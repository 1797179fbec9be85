//! Stream: the bytes of one connection as hyper sees them: guarded on the way in, files on the way out.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use arrayvec::ArrayVec;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::activity::Activity;
use super::guard::{Guard, Rest, STAND_IN};
use super::head::Refusal;
use super::transport::Transport;
use crate::sendfile::Sender;

/// Up to so many bytes are copied together: a plain send costs the kernel less than a vectored write.
const GATHER_BYTES: usize = 4096;

/// Most bytes read and thrown away after the last response, so that a client that still sends can read it.
const LINGER_BYTES: usize = 1024 * 1024;

/// The stream of one connection.
pub struct Stream {
    transport: Transport,
    guard: Guard,
    /// Bytes that were read but not given on: first `ready` that may pass, behind them the start of a head.
    held: Vec<u8>,
    ready: usize,
    end: End,
    sender: Sender,
    activity: Arc<Activity>,
    lingered: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Open,
    /// A head was refused: nothing behind it is read.
    Refused,
    /// The client has sent its last byte.
    Eof,
}

impl Stream {
    /// A stream over `transport`. `first` are bytes that were read already.
    pub fn new(transport: Transport, guard: Guard, first: Vec<u8>, activity: Arc<Activity>) -> Self {
        let mut stream = Self {
            transport,
            guard,
            held: first,
            ready: 0,
            end: End::Open,
            sender: Sender::default(),
            activity,
            lingered: None,
        };
        if !stream.held.is_empty() {
            // A broken body cannot be found here: no body begins before a head has passed.
            stream.settle().unwrap_or_default();
        }
        stream
    }

    /// The way for bodies to have files sent.
    pub fn sender(&self) -> Option<Sender> {
        self.transport.can_send_files().then(|| self.sender.clone())
    }

    /// Judges all that is held and not ready.
    fn settle(&mut self) -> io::Result<()> {
        let admitted = self.guard.admit(&self.held[self.ready..]);
        self.ready += admitted.pass;
        match admitted.rest {
            Rest::None => self.activity.head_whole(),
            Rest::Hold => self.activity.head_partial(),
            Rest::Refuse(why) => self.refuse(why),
            Rest::Broken => return Err(io::Error::new(io::ErrorKind::InvalidData, "broken chunked body")),
        }
        Ok(())
    }

    fn refuse(&mut self, why: Refusal) {
        self.activity.refuse(why);
        self.activity.head_whole();
        self.held.truncate(self.ready);
        self.held.extend_from_slice(STAND_IN);
        self.ready = self.held.len();
        self.end = End::Refused;
    }

    fn deliver(&mut self, buf: &mut ReadBuf<'_>) {
        let n = self.ready.min(buf.remaining());
        buf.put_slice(&self.held[..n]);
        if n == self.held.len() {
            // Given back to the allocator: an idle connection holds no buffer of ours.
            self.held = Vec::new();
        } else {
            self.held.drain(..n);
        }
        self.ready -= n;
    }

    /// Judges what was just read into `buf` behind `before`, in place where it can.
    fn judge(&mut self, buf: &mut ReadBuf<'_>, before: usize) -> io::Result<()> {
        if !self.held.is_empty() {
            self.held.extend_from_slice(&buf.filled()[before..]);
            buf.set_filled(before);
            return self.settle();
        }
        let admitted = self.guard.admit(&buf.filled()[before..]);
        let keep = before + admitted.pass;
        match admitted.rest {
            Rest::None => {}
            Rest::Hold => {
                self.held.extend_from_slice(&buf.filled()[keep..]);
                self.activity.head_partial();
                buf.set_filled(keep);
            }
            Rest::Refuse(why) => {
                buf.set_filled(keep);
                self.refuse(why);
            }
            Rest::Broken => return Err(io::Error::new(io::ErrorKind::InvalidData, "broken chunked body")),
        }
        Ok(())
    }

    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut scratch = [0u8; 4096];
        loop {
            let Some(left) = self.lingered else { return Poll::Ready(Ok(())) };
            if left == 0 || self.activity.is_overdue() {
                return Poll::Ready(Ok(()));
            }
            let mut buf = ReadBuf::new(&mut scratch);
            match Pin::new(&mut self.transport).poll_read(cx, &mut buf) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(_reset)) => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(())) if buf.filled().is_empty() => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(())) => self.lingered = Some(left.saturating_sub(buf.filled().len())),
            }
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.activity.is_upgraded() && this.guard.at_head() {
            this.guard.stand_down();
            this.ready = this.held.len();
        }
        loop {
            if this.ready > 0 {
                this.deliver(buf);
                return Poll::Ready(Ok(()));
            }
            match this.end {
                End::Open => {}
                // Only the answer is still to be written; that the client goes away shows there.
                End::Refused => return Poll::Pending,
                End::Eof => return Poll::Ready(Ok(())),
            }
            if this.activity.is_overdue() && !this.activity.is_write_blocked() {
                this.activity.took_note();
                this.activity.read_progressed();
                if !this.guard.at_head() {
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
                if !this.held.is_empty() {
                    this.held.clear();
                    this.refuse(Refusal::TooSlow);
                    continue;
                }
            }
            let before = buf.filled().len();
            match Pin::new(&mut this.transport).poll_read(cx, buf) {
                Poll::Ready(Ok(())) if buf.filled().len() == before => {
                    this.end = End::Eof;
                    this.activity.read_progressed();
                    this.activity.head_whole();
                    return Poll::Ready(Ok(()));
                }
                Poll::Ready(Ok(())) => {
                    this.activity.read_progressed();
                    this.judge(buf, before)?;
                    if buf.filled().len() > before {
                        return Poll::Ready(Ok(()));
                    }
                }
                Poll::Pending => {
                    if !this.guard.at_head() {
                        this.activity.body_wanted();
                    }
                    return Poll::Pending;
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl Stream {
    fn poll_out(&mut self, cx: &mut Context<'_>, slices: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let file = slices.iter().position(|slice| Sender::is_stand_in(slice));
        match file {
            None if slices.len() > 1
                && slices.iter().map(|slice| slice.len()).sum::<usize>() <= GATHER_BYTES =>
            {
                let mut gathered = ArrayVec::<u8, GATHER_BYTES>::new();
                match slices.iter().all(|slice| gathered.try_extend_from_slice(slice).is_ok()) {
                    true => Pin::new(&mut self.transport).poll_write(cx, &gathered),
                    false => Pin::new(&mut self.transport).poll_write_vectored(cx, slices),
                }
            }
            None => Pin::new(&mut self.transport).poll_write_vectored(cx, slices),
            Some(0) => self.transport.poll_send_file(cx, &self.sender, slices[0].len()),
            Some(first) => self.transport.poll_write_before_file(cx, &slices[..first]),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[io::IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.activity.is_overdue() && this.activity.is_write_blocked() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        match this.poll_out(cx, slices) {
            Poll::Pending => {
                this.activity.write_blocked();
                Poll::Pending
            }
            done => {
                this.activity.write_progressed();
                done
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.transport.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().transport).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.lingered.is_none() {
            ready!(Pin::new(&mut this.transport).poll_shutdown(cx))?;
            // A close with unread bytes resets the connection, and the client may never read the answer.
            let unread = this.end == End::Refused || (this.end == End::Open && !this.guard.at_head());
            this.lingered = Some(if unread { LINGER_BYTES } else { 0 });
            if unread {
                this.activity.body_wanted();
            }
        }
        this.poll_linger(cx)
    }
}
