//! Sendfile below hyper: a body promises a range of a file by handing hyper a slice of a static block of
//! zeros; the connection's stream recognises the slice by its address and sends the file in its place.
//!
//! hyper queues body slices by reference when it writes vectored, and never looks inside them. So the
//! zeros are never read (the pages are never even touched), and nothing is copied through this process.

use std::collections::VecDeque;
use std::io;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use crate::body::FilePart;

const STAND_IN_BYTES: usize = 4 * 1024 * 1024;
static STAND_IN: [u8; STAND_IN_BYTES] = [0; STAND_IN_BYTES];

/// The way from a response body to the stream of its connection.
#[derive(Debug, Clone, Default)]
pub struct Sender {
    promised: Arc<Mutex<VecDeque<FilePart>>>,
}

impl Sender {
    /// The longest range one promise can stand for.
    pub const MOST_BYTES: u64 = STAND_IN_BYTES as u64;

    /// Queues `part` and gives the bytes that stand in for it. `part.len` is at most [`Self::MOST_BYTES`].
    pub fn promise(&self, part: FilePart) -> Bytes {
        let len = usize::try_from(part.len).unwrap_or(STAND_IN_BYTES).min(STAND_IN_BYTES);
        self.queue().push_back(part);
        Bytes::from_static(&STAND_IN[..len])
    }

    /// Whether `slice` stands in for a promised file.
    pub fn is_stand_in(slice: &[u8]) -> bool {
        let start = STAND_IN.as_ptr() as usize;
        let at = slice.as_ptr() as usize;
        !slice.is_empty() && at >= start && at < start + STAND_IN_BYTES
    }

    /// Sends of the oldest promise what `socket` takes, at most `most` bytes.
    ///
    /// Errors: `WouldBlock` as the socket gives it; `UnexpectedEof` when the file has become shorter than
    /// was promised (only files of unsealed releases and shared files can), which cuts the response.
    pub fn send(&self, socket: impl AsFd, most: usize) -> io::Result<usize> {
        let mut queue = self.queue();
        let Some(part) = queue.front_mut() else {
            return Err(io::Error::other("a stand-in was written for which no file is promised"));
        };
        let len = usize::try_from(part.len).unwrap_or(usize::MAX).min(most);
        let mut offset = part.offset;
        let sent = rustix::fs::sendfile(socket, part.file.as_fd(), Some(&mut offset), len)?;
        if sent == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the file became shorter while it was sent",
            ));
        }
        part.offset += sent as u64;
        part.len -= sent as u64;
        if part.len == 0 {
            queue.pop_front();
        }
        Ok(sent)
    }

    fn queue(&self) -> std::sync::MutexGuard<'_, VecDeque<FilePart>> {
        self.promised.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
