//! Stream: bytes without a known end, in frames of one kind; an empty frame is the end.

use std::io::{Read, Write};

use super::frame::{Frame, Kind};
use super::link::{Link, LinkError, Sender};

/// How large the pieces of a stream are.
const PIECE: usize = 128 << 10;

/// A stream that is sent. It has to be [`end`](Outgoing::end)ed.
#[derive(Debug)]
pub struct Outgoing<'s> {
    sender: &'s Sender,
    kind: Kind,
    bytes: Vec<u8>,
}

impl<'s> Outgoing<'s> {
    pub(super) fn new(sender: &'s Sender, kind: Kind) -> Outgoing<'s> {
        Outgoing { sender, kind, bytes: Vec::with_capacity(PIECE) }
    }

    /// Sends what is left, and that this was all.
    pub fn end(mut self) -> Result<(), LinkError> {
        if !self.bytes.is_empty() {
            self.piece()?;
        }
        self.sender.send(Frame { kind: self.kind, bytes: Vec::new() })
    }

    fn piece(&mut self) -> Result<(), LinkError> {
        let bytes = std::mem::replace(&mut self.bytes, Vec::with_capacity(PIECE));
        self.sender.send(Frame { kind: self.kind, bytes })
    }
}

impl Write for Outgoing<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let room = PIECE - self.bytes.len();
        let taken = bytes.get(..room.min(bytes.len())).unwrap_or_default();
        self.bytes.extend_from_slice(taken);
        if self.bytes.len() == PIECE {
            self.piece().map_err(std::io::Error::other)?;
        }
        Ok(taken.len())
    }

    /// Pieces go when they are full: a stream is not waited for before its end.
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A stream that comes in.
pub struct Incoming<'l> {
    link: &'l Link,
    kind: Kind,
    stopped: &'l dyn Fn() -> bool,
    bytes: Vec<u8>,
    at: usize,
    ended: bool,
}

impl<'l> Incoming<'l> {
    pub(super) fn new(link: &'l Link, kind: Kind, stopped: &'l dyn Fn() -> bool) -> Incoming<'l> {
        Incoming { link, kind, stopped, bytes: Vec::new(), at: 0, ended: false }
    }

    /// The stream whose first piece was read already.
    pub(super) fn beginning_with(
        link: &'l Link,
        first: Frame,
        stopped: &'l dyn Fn() -> bool,
    ) -> Incoming<'l> {
        let ended = first.bytes.is_empty();
        Incoming { link, kind: first.kind, stopped, bytes: first.bytes, at: 0, ended }
    }
}

impl Read for Incoming<'_> {
    fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
        while self.at == self.bytes.len() && !self.ended {
            let frame = self.link.next(self.stopped).map_err(std::io::Error::other)?;
            if frame.kind != self.kind {
                let what = format!("{:?} in the middle of {:?}", frame.kind, self.kind);
                return Err(std::io::Error::other(LinkError::Nonsense(what)));
            }
            self.ended = frame.bytes.is_empty();
            (self.bytes, self.at) = (frame.bytes, 0);
        }
        let left = self.bytes.get(self.at..).unwrap_or_default();
        let n = left.len().min(to.len());
        if let (Some(to), Some(from)) = (to.get_mut(..n), left.get(..n)) {
            to.copy_from_slice(from);
        }
        self.at += n;
        Ok(n)
    }
}
