//! Connection: a socket to one worker, with its buffers.

use std::{
    io::{self, IoSlice},
    os::fd::{AsFd, BorrowedFd},
    pin::{Pin, pin},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, Bytes, BytesMut};
use tokio::{
    io::{AsyncReadExt, AsyncWrite},
    net::{TcpStream, UnixStream},
    time::{Instant, Sleep, sleep_until, timeout_at},
};

use super::slots::Slot;
use crate::{Address, record::REQUEST_ID, response::ResponseReader};

/// Always boxed: it moves from hand to hand.
pub(super) type Link = Box<Connection>;

pub(super) struct Connection {
    stream: Stream,
    /// What was read and not used yet.
    pub input: BytesMut,
    pub reader: ResponseReader,
    /// What is to be written, from `out_at` on, and `tail` behind it.
    pub out: Vec<u8>,
    out_at: usize,
    pub tail: Bytes,
    /// How much to ask for at the next read.
    want: usize,
    /// Rings at `silent_at` or sooner: to move it with every request would cost more than to look again when it rings.
    timer: Pin<Box<Sleep>>,
    /// When the silence has lasted too long; `None`: it has not begun.
    silent_at: Option<Instant>,
    /// A byte of the request in hand was written.
    pub wrote: bool,
    /// It has answered before, so it may have been closed since.
    pub reused: bool,
    /// Below the stream, so that it is given back after the socket was closed.
    pub slot: Slot,
}

/// The first read of a response; most responses need no second one.
const FIRST_READ: usize = 16 << 10;
const MOST_READ: usize = 128 << 10;
/// A write buffer that was larger is not kept.
const KEPT_OUT: usize = 128 << 10;

impl Connection {
    /// Connects before the deadline.
    pub async fn open(address: &Address, slot: Slot, deadline: Instant) -> Result<Link, (io::Error, Slot)> {
        match timeout_at(deadline, Stream::connect(address))
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        {
            Err(why) => Err((why, slot)),
            Ok(stream) => Ok(Box::new(Connection {
                stream,
                input: BytesMut::new(),
                reader: ResponseReader::new(REQUEST_ID),
                out: Vec::new(),
                out_at: 0,
                tail: Bytes::new(),
                want: FIRST_READ,
                timer: Box::pin(sleep_until(deadline)),
                silent_at: None,
                wrote: false,
                reused: false,
                slot,
            })),
        }
    }

    /// Looks, without waiting, whether the other end is still there and silent. On a Unix socket the write itself tells,
    /// with EPIPE and nothing written; on TCP it may succeed and be answered by a reset.
    pub fn is_alive(&self) -> bool {
        use rustix::net::{RecvFlags, recv};
        if self.is_unix() {
            return true;
        }
        let mut byte = [0; 1];
        // Anything but "nothing yet" is end-of-file, a reset, or bytes that nobody asked for.
        matches!(
            recv(&self.stream, &mut byte, RecvFlags::PEEK | RecvFlags::DONTWAIT),
            Err(rustix::io::Errno::AGAIN)
        )
    }

    /// Gets ready for the next request.
    pub fn reset(&mut self) {
        self.reused = true;
        self.out_at = 0;
        self.want = FIRST_READ;
        self.silent_at = None;
        self.wrote = false;
        if self.out.capacity() > KEPT_OUT {
            self.out = Vec::new();
        }
        self.out.clear();
    }

    /// Whether all that was given to write is written.
    pub fn is_flushed(&self) -> bool {
        self.out_at == self.out.len() && self.tail.is_empty()
    }

    /// Writes what there is to write; ready when all of it is written.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.is_flushed() {
            let head = &self.out[self.out_at..];
            let written = ready!(self.stream.poll_write(cx, head, &self.tail))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.silent_at = None;
            self.wrote = true;
            let of_head = written.min(self.out.len() - self.out_at);
            self.out_at += of_head;
            self.tail.advance(written - of_head);
        }
        if self.out_at > 0 {
            self.out.clear();
            self.out_at = 0;
        }
        Poll::Ready(Ok(()))
    }

    /// Reads what there is into `input`; 0 is end-of-file.
    pub fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.input.capacity() - self.input.len() < LEAST_SPARE {
            self.input.reserve(self.want);
        }
        let spare = self.input.capacity() - self.input.len();
        let count = ready!(self.stream.poll_read(cx, &mut self.input))?;
        self.silent_at = None;
        self.acknowledge();
        if count == spare {
            self.want = (self.want * 2).min(MOST_READ);
        }
        Poll::Ready(Ok(count))
    }

    /// Reads what there is into `input`; 0 is end-of-file.
    pub async fn fill(&mut self) -> io::Result<usize> {
        std::future::poll_fn(|cx| self.poll_fill(cx)).await
    }

    /// Ready when nothing was read or written for that long, counted from the first call after it.
    pub fn poll_silence(&mut self, cx: &mut Context<'_>, limit: Duration) -> Poll<()> {
        let silent_at = *self.silent_at.get_or_insert_with(|| Instant::now() + limit);
        loop {
            if self.timer.deadline() > silent_at {
                self.timer.as_mut().reset(silent_at);
            }
            ready!(self.timer.as_mut().poll(cx));
            if Instant::now() >= silent_at {
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(silent_at);
        }
    }

    /// Acknowledges at once what came. On TCP, PHP-FPM's kernel holds back its next small write until then (Nagle), and
    /// ours would tell it 40 ms later: END_REQUEST behind a large output and the answer to the probe are such writes.
    fn acknowledge(&self) {
        if !self.is_unix() {
            // Only a matter of speed.
            rustix::net::sockopt::set_tcp_quickack(self, true).ok();
        }
    }

    /// Closes it and gives its slot for another one.
    pub fn close(self) -> Slot {
        self.slot
    }

    pub fn is_unix(&self) -> bool {
        match self.stream {
            Stream::Unix(_) => true,
            Stream::Tcp(_) => false,
        }
    }
}

/// Below that, a read is not worth its system call.
const LEAST_SPARE: usize = 2 << 10;

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
}

impl Stream {
    async fn connect(address: &Address) -> io::Result<Stream> {
        match address {
            Address::Unix(path) => loop {
                match UnixStream::connect(path).await {
                    // The backlog is full, which the kernel tells nobody about when it ends (unix(7)): ask again.
                    Err(why) if why.kind() == io::ErrorKind::WouldBlock => {
                        tokio::time::sleep(BACKLOG_WAIT).await
                    }
                    other => return Ok(Stream::Unix(other?)),
                }
            },
            Address::Tcp { host, port } => {
                let stream = TcpStream::connect((host.as_str(), *port)).await?;
                stream.set_nodelay(true)?;
                Ok(Stream::Tcp(stream))
            }
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, head: &[u8], tail: &[u8]) -> Poll<io::Result<usize>> {
        let both = [IoSlice::new(head), IoSlice::new(tail)];
        match (self, tail.is_empty()) {
            (Stream::Unix(stream), true) => Pin::new(stream).poll_write(cx, head),
            (Stream::Tcp(stream), true) => Pin::new(stream).poll_write(cx, head),
            (Stream::Unix(stream), false) => Pin::new(stream).poll_write_vectored(cx, &both),
            (Stream::Tcp(stream), false) => Pin::new(stream).poll_write_vectored(cx, &both),
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut BytesMut) -> Poll<io::Result<usize>> {
        // `read_buf` keeps nothing between polls, so it can be made anew each time.
        match self {
            Stream::Unix(stream) => pin!(stream.read_buf(into)).poll(cx),
            Stream::Tcp(stream) => pin!(stream.read_buf(into)).poll(cx),
        }
    }
}

const BACKLOG_WAIT: Duration = Duration::from_millis(5);

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Stream::Unix(stream) => stream.as_fd(),
            Stream::Tcp(stream) => stream.as_fd(),
        }
    }
}
