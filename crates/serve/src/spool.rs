//! Spool: where a response waits between a script that is done and a client that is slow: memory, then an unlinked file.
//!
//! ```text
//!   Writer -> memory (up to a limit) -> Reader
//!         \-> file, while the reader is behind -/      what is in memory is always older than what is in the file
//! ```

use std::collections::VecDeque;
use std::fs::File;
use std::future::poll_fn;
use std::io;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use bytes::{Bytes, BytesMut};
use http_body::Frame;
use tokio::task::{JoinHandle, spawn_blocking};

use crate::body::BodyError;

/// A file takes at most so much, in bytes; then the writer waits for the reader (as nginx's
/// `fastcgi_max_temp_file_size` does).
const MOST_ON_DISK: u64 = 1 << 30;
/// Bytes read from a file at once.
const PIECE: u64 = 128 * 1024;

/// A spool that keeps about `memory` bytes in memory.
pub fn spool(memory: usize) -> (Writer, Reader) {
    let shared = Arc::new(Shared { state: Mutex::default(), memory });
    (Writer { shared: Arc::clone(&shared) }, Reader { shared, reading: None })
}

/// The end that is written to. Dropped without [`Writer::finish`], the reader sees a response that is cut short.
pub struct Writer {
    shared: Arc<Shared>,
}

/// The end that is read from, a body.
pub struct Reader {
    shared: Arc<Shared>,
    reading: Option<Reading>,
}

/// The reader is gone: nobody wants the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gone;

struct Shared {
    state: Mutex<State>,
    memory: usize,
}

#[derive(Default)]
struct State {
    memory: VecDeque<Bytes>,
    memory_len: usize,
    disk: Disk,
    /// What of the file is written and not read yet.
    from: u64,
    to: u64,
    end: Option<Result<(), BodyError>>,
    gone: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

#[derive(Default)]
enum Disk {
    #[default]
    Unused,
    File(Arc<File>),
    /// No more is written to it; memory must do, and the writer waits when that is full.
    Failed(Option<Arc<File>>),
}

/// Where the next bytes go.
enum Way {
    Memory,
    File(Option<Arc<File>>, u64),
}

impl Writer {
    /// Takes the next bytes. Waits only where neither memory nor the file has room.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), Gone> {
        loop {
            let way = poll_fn(|cx| self.shared.lock().poll_way(bytes.len(), self.shared.memory, cx)).await?;
            let (file, at) = match way {
                Way::Memory => {
                    self.shared.lock().remember(bytes);
                    return Ok(());
                }
                Way::File(file, at) => (file, at),
            };
            let written = to_file(file, at, bytes.clone()).await;
            let mut state = self.shared.lock();
            match written {
                Ok(file) => {
                    state.disk = Disk::File(file);
                    state.to += bytes.len() as u64;
                    state.wake_reader();
                    return Ok(());
                }
                // A full disk is no reason to cut a response: it goes as slowly as the client reads.
                Err(_) => state.fail(),
            }
        }
    }

    /// No more comes: all was written, or why not.
    pub fn finish(self, end: Result<(), BodyError>) {
        let mut state = self.shared.lock();
        state.end = Some(end);
        state.wake_reader();
    }

    /// Ready when the reader is gone.
    pub async fn gone(&self) {
        poll_fn(|cx| {
            let mut state = self.shared.lock();
            if state.gone {
                return Poll::Ready(());
            }
            state.writer = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        if state.end.is_none() {
            state.end = Some(Err("the response was given up".into()));
            state.wake_reader();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn poll_way(&mut self, len: usize, memory: usize, cx: &Context<'_>) -> Poll<Result<Way, Gone>> {
        if self.gone {
            return Poll::Ready(Err(Gone));
        }
        let drained = self.from == self.to;
        if drained && (self.memory.is_empty() || self.memory_len + len <= memory) {
            return Poll::Ready(Ok(Way::Memory));
        }
        if drained {
            // Its room is used again.
            (self.from, self.to) = (0, 0);
        }
        let fits = self.to + len as u64 <= MOST_ON_DISK;
        match &self.disk {
            Disk::Unused if fits => Poll::Ready(Ok(Way::File(None, self.to))),
            Disk::File(file) if fits => Poll::Ready(Ok(Way::File(Some(Arc::clone(file)), self.to))),
            Disk::Unused | Disk::File(_) | Disk::Failed(_) => {
                self.writer = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// What the file has can still be read.
    fn fail(&mut self) {
        self.disk = match std::mem::take(&mut self.disk) {
            Disk::File(file) => Disk::Failed(Some(file)),
            Disk::Unused => Disk::Failed(None),
            Disk::Failed(file) => Disk::Failed(file),
        };
    }

    fn remember(&mut self, bytes: Bytes) {
        self.memory_len += bytes.len();
        self.memory.push_back(bytes);
        self.wake_reader();
    }

    fn wake_reader(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }

    fn wake_writer(&mut self) {
        if let Some(writer) = self.writer.take() {
            writer.wake();
        }
    }
}

async fn to_file(file: Option<Arc<File>>, at: u64, bytes: Bytes) -> io::Result<Arc<File>> {
    let write = move || {
        let file = match file {
            Some(file) => file,
            None => Arc::new(tempfile::tempfile()?),
        };
        file.write_all_at(&bytes, at)?;
        Ok(file)
    };
    spawn_blocking(write).await.unwrap_or_else(|why| Err(io::Error::other(why)))
}

impl http_body::Body for Reader {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        loop {
            if let Some(reading) = &mut this.reading {
                let read = ready!(reading.poll(cx));
                this.reading = None;
                let bytes = read?;
                let mut state = this.shared.lock();
                state.from += bytes.len() as u64;
                state.wake_writer();
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
            let mut state = this.shared.lock();
            if let Some(bytes) = state.memory.pop_front() {
                state.memory_len -= bytes.len();
                state.wake_writer();
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
            if state.from < state.to
                && let Disk::File(file) | Disk::Failed(Some(file)) = &state.disk
            {
                let next = Reading::start(Arc::clone(file), state.from, state.to);
                drop(state);
                this.reading = Some(next);
                continue;
            }
            return match state.end.take() {
                None => {
                    state.reader = Some(cx.waker().clone());
                    Poll::Pending
                }
                Some(Ok(())) => {
                    state.end = Some(Ok(()));
                    Poll::Ready(None)
                }
                Some(Err(why)) => {
                    state.end = Some(Ok(()));
                    Poll::Ready(Some(Err(why)))
                }
            };
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.gone = true;
        state.memory.clear();
        state.wake_writer();
    }
}

/// A piece of a file that is being read where it disturbs nobody.
pub(crate) struct Reading(JoinHandle<io::Result<Bytes>>);

impl Reading {
    /// Reads from `from`, not beyond `to`: at least one byte, fewer than all where there are many.
    pub(crate) fn start(file: Arc<File>, from: u64, to: u64) -> Reading {
        Reading(spawn_blocking(move || {
            let len = usize::try_from((to - from).min(PIECE)).unwrap_or(0);
            let mut bytes = BytesMut::zeroed(len);
            file.read_exact_at(&mut bytes, from)?;
            Ok(bytes.freeze())
        }))
    }

    /// Ready with what was read.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        Pin::new(&mut self.0).poll(cx).map(|done| done.unwrap_or_else(|why| Err(io::Error::other(why))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;
    use std::time::Duration;

    fn piece(nth: usize) -> Bytes {
        Bytes::from(vec![nth as u8; 10_000])
    }

    #[tokio::test]
    async fn a_writer_is_done_long_before_a_slow_reader_and_nothing_is_lost_or_swapped() {
        let (mut writer, mut reader) = spool(30_000);
        for nth in 0..50 {
            writer.write(piece(nth)).await.unwrap();
        }
        // The reader catches up in between, so that memory and the file take turns.
        let mut seen = Vec::new();
        while seen.len() < 500_000 {
            seen.extend_from_slice(&reader.frame().await.unwrap().unwrap().into_data().unwrap());
        }
        for nth in 50..100 {
            writer.write(piece(nth)).await.unwrap();
        }
        writer.finish(Ok(()));
        seen.extend_from_slice(&reader.collect().await.unwrap().to_bytes());
        let all: Vec<u8> = (0..100).flat_map(|nth| piece(nth).to_vec()).collect();
        assert!(seen == all);
    }

    #[tokio::test]
    async fn without_a_disk_the_writer_waits_for_the_reader() {
        let (mut writer, mut reader) = spool(15_000);
        writer.shared.lock().fail();
        writer.write(piece(1)).await.unwrap();
        let waits = tokio::time::timeout(Duration::from_millis(20), writer.write(piece(2))).await;
        assert!(waits.is_err());
        let taken = reader.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(taken, piece(1));
        writer.write(piece(2)).await.unwrap();
    }

    #[tokio::test]
    async fn an_end_that_is_no_end_reaches_the_reader_as_an_error() {
        let (mut writer, reader) = spool(100);
        writer.write(Bytes::from_static(b"half")).await.unwrap();
        drop(writer);
        assert!(reader.collect().await.is_err());
    }

    #[tokio::test]
    async fn a_writer_learns_that_its_reader_left() {
        let (mut writer, reader) = spool(100);
        let left = tokio::spawn(async move {
            writer.gone().await;
            writer.write(Bytes::from_static(b"late")).await
        });
        tokio::task::yield_now().await;
        drop(reader);
        assert_eq!(left.await.unwrap(), Err(Gone));
    }
}
