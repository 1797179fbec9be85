//! Output: what is on its way to a web server.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use tokio::io::AsyncWrite;

use crate::{
    record::{FULL_CONTENT, HEADER_LEN, Header, Kind, ProtocolStatus},
    response::{self, End},
};

/// Output up to this length is copied behind its header, so that many small pieces are one write.
const COPIED: usize = 32 << 10;
/// A buffer that was larger is not kept.
const KEPT: usize = 128 << 10;

pub(super) struct Output<W> {
    stream: W,
    /// What is written first, from `at` on; then `tail`, in records whose headers are made as they are due.
    head: Vec<u8>,
    at: usize,
    tail: Bytes,
    /// What of `tail` belongs to the record that was begun.
    record: usize,
    id: u16,
    /// Answers to management records, written where a record may begin.
    manage: Vec<u8>,
    /// What follows when `tail` is written: the end of the answer.
    behind: Vec<u8>,
    pub written: u64,
}

impl<W: AsyncWrite + Unpin> Output<W> {
    pub fn new(stream: W) -> Output<W> {
        Output {
            stream,
            head: Vec::new(),
            at: 0,
            tail: Bytes::new(),
            record: 0,
            id: 0,
            manage: Vec::new(),
            behind: Vec::new(),
            written: 0,
        }
    }

    /// A large piece is not copied; what comes behind it waits in `behind`.
    pub fn stdout(&mut self, id: u16, bytes: Bytes) {
        if self.tail.is_empty() && bytes.len() > COPIED {
            self.id = id;
            self.tail = bytes;
        } else {
            response::write_stdout(self.next(), id, &bytes);
        }
    }

    pub fn stderr(&mut self, id: u16, text: &[u8]) {
        response::write_stderr(self.next(), id, text);
    }

    pub fn end(&mut self, id: u16, protocol: ProtocolStatus) {
        response::write_end(self.next(), id, End { app_status: 0, protocol });
    }

    pub fn manage(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.manage);
    }

    /// Bytes of answers to management records that wait.
    pub fn unread(&self) -> usize {
        self.manage.len()
    }

    /// Whether nothing waits to be written.
    pub fn is_written(&self) -> bool {
        self.at == self.head.len() && self.tail.is_empty() && self.manage.is_empty() && self.behind.is_empty()
    }

    pub fn into_stream(self) -> W {
        self.stream
    }

    fn next(&mut self) -> &mut Vec<u8> {
        if self.tail.is_empty() { &mut self.head } else { &mut self.behind }
    }

    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            self.refill();
            if self.at == self.head.len() && self.record == 0 {
                self.head.clear();
                self.at = 0;
                if self.head.capacity() > KEPT {
                    self.head = Vec::new();
                }
                return Poll::Ready(Ok(()));
            }
            let head = &self.head[self.at..];
            let stream = Pin::new(&mut self.stream);
            let count = match self.record {
                0 => ready!(stream.poll_write(cx, head))?,
                record => {
                    let both = [IoSlice::new(head), IoSlice::new(&self.tail[..record])];
                    ready!(stream.poll_write_vectored(cx, &both))?
                }
            };
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += count as u64;
            let of_head = count.min(head.len());
            self.at += of_head;
            self.tail.advance(count - of_head);
            self.record -= count - of_head;
        }
    }

    /// Puts the next records together, where one may begin.
    fn refill(&mut self) {
        if self.record > 0 {
            return;
        }
        if self.at == self.head.len() {
            self.head.clear();
            self.at = 0;
        }
        self.head.append(&mut self.manage);
        if self.tail.is_empty() {
            self.head.append(&mut self.behind);
            return;
        }
        self.record = self.tail.len().min(FULL_CONTENT);
        let content = u16::try_from(self.record).unwrap_or(u16::MAX);
        let header = Header { kind: Kind::Stdout.byte(), id: self.id, content, padding: 0 };
        self.head.reserve(HEADER_LEN);
        self.head.extend_from_slice(&header.bytes());
    }

    pub fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
