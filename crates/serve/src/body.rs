//! Body: what a response carries, and the pin it holds until its last byte.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::pin::Pin as StdPin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http_body::{Frame, SizeHint};

use crate::sendfile::Sender;

/// Bytes read from a file at once where sendfile cannot be used (TLS, HTTP/2).
const READ_BYTES: usize = 128 * 1024;

/// What a stream may fail with once the head is out: the response is cut short, and said so in the log.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// A response body. Dropping it is the end of the response: what it holds is let go then.
pub struct Body {
    parts: VecDeque<Part>,
    sender: Option<Sender>,
    bytes_sent: u64,
    held: Option<Box<dyn Held>>,
}

/// One piece of a body.
pub enum Part {
    /// Bytes in memory.
    Memory(Bytes),
    /// A range of an open file: sent by sendfile where the connection can, read in chunks elsewhere.
    File(FilePart),
    /// Bytes of unknown number that come as they come.
    Stream(BoxStream),
}

/// A range of an open file.
#[derive(Debug, Clone)]
pub struct FilePart {
    /// The file; positions are explicit, so the descriptor may be shared.
    pub file: Arc<File>,
    /// First byte, from the start of the file.
    pub offset: u64,
    /// Number of bytes.
    pub len: u64,
}

/// A body of another making, boxed.
pub type BoxStream = StdPin<Box<dyn http_body::Body<Data = Bytes, Error = BodyError> + Send>>;

/// Something that lives exactly as long as the response: the pin, a line of the access log.
pub trait Held: Send {
    /// Called once, with the number of body bytes handed to the connection and whether that was all.
    fn finish(self: Box<Self>, bytes_sent: u64, complete: bool);
}

impl Body {
    /// No bytes.
    pub fn empty() -> Self {
        Self::parts(VecDeque::new())
    }

    /// These bytes.
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        if bytes.is_empty() { Self::empty() } else { Self::parts([Part::Memory(bytes)]) }
    }

    /// A range of a file.
    pub fn file(file: Arc<File>, offset: u64, len: u64) -> Self {
        if len == 0 { Self::empty() } else { Self::parts([Part::File(FilePart { file, offset, len })]) }
    }

    /// Several parts, one behind the other (multipart ranges).
    pub fn parts(parts: impl Into<VecDeque<Part>>) -> Self {
        Self { parts: parts.into(), sender: None, bytes_sent: 0, held: None }
    }

    /// A stream of frames.
    pub fn stream<B>(stream: B) -> Self
    where
        B: http_body::Body<Data = Bytes, Error = BodyError> + Send + 'static,
    {
        Self::parts([Part::Stream(Box::pin(stream) as BoxStream)])
    }

    /// Keeps `held` until the response is over.
    pub fn hold(&mut self, held: Box<dyn Held>) {
        self.held = Some(held);
    }

    /// Lets file parts go by sendfile through the connection behind `sender`.
    pub fn send_files_by(&mut self, sender: Sender) {
        if self.parts.iter().any(|part| matches!(part, Part::File(_))) {
            self.sender = Some(sender);
        }
    }

    /// The number of bytes, where it is known.
    pub fn known_len(&self) -> Option<u64> {
        let mut sum = 0u64;
        for part in &self.parts {
            sum = sum.checked_add(match part {
                Part::Memory(bytes) => bytes.len() as u64,
                Part::File(file) => file.len,
                Part::Stream(stream) => stream.size_hint().exact()?,
            })?;
        }
        Some(sum)
    }

    fn finish(&mut self, complete: bool) {
        if let Some(held) = self.held.take() {
            held.finish(self.bytes_sent, complete);
        }
    }
}

impl Default for Body {
    fn default() -> Self {
        Self::empty()
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self::full(bytes)
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Self::full(text)
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        let complete = self.parts.is_empty();
        self.finish(complete);
    }
}

impl FilePart {
    /// Takes up to `most` bytes off the front.
    fn split_to(&mut self, most: u64) -> FilePart {
        let len = self.len.min(most);
        let front = FilePart { file: self.file.clone(), offset: self.offset, len };
        self.offset += len;
        self.len -= len;
        front
    }

    fn read(&self) -> io::Result<Bytes> {
        let mut bytes = BytesMut::zeroed(usize::try_from(self.len).unwrap_or(READ_BYTES).min(READ_BYTES));
        self.file.read_exact_at(&mut bytes, self.offset)?;
        Ok(bytes.freeze())
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: StdPin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        loop {
            let Some(front) = this.parts.front_mut() else {
                return Poll::Ready(None);
            };
            let frame = match front {
                Part::Memory(bytes) => {
                    let bytes = std::mem::take(bytes);
                    this.parts.pop_front();
                    Frame::data(bytes)
                }
                Part::File(rest) => {
                    let bytes = match &this.sender {
                        Some(sender) => {
                            let segment = rest.split_to(Sender::MOST_BYTES);
                            sender.promise(segment)
                        }
                        None => rest.split_to(READ_BYTES as u64).read()?,
                    };
                    if rest.len == 0 {
                        this.parts.pop_front();
                    }
                    Frame::data(bytes)
                }
                Part::Stream(stream) => match stream.as_mut().poll_frame(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Some(Ok(frame))) => frame,
                    Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
                    Poll::Ready(None) => {
                        this.parts.pop_front();
                        continue;
                    }
                },
            };
            if let Some(data) = frame.data_ref() {
                this.bytes_sent += data.len() as u64;
            }
            return Poll::Ready(Some(Ok(frame)));
        }
    }

    fn is_end_stream(&self) -> bool {
        self.parts.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        match self.known_len() {
            Some(len) => SizeHint::with_exact(len),
            None => SizeHint::default(),
        }
    }
}
