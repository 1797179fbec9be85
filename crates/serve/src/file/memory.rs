//! Memory: the bytes of small files, kept by what they are; one for the whole process.
//!
//! Content is kept under its hash, so releases that share a file share its bytes, and what was packed once stays
//! packed after a flip. Nothing is ever found under a hash that its bytes do not have. What nobody asked for since
//! the hand last passed goes first when room is needed (the clock algorithm).

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use bytes::Bytes;
use tokio::sync::{Semaphore, watch};

use crate::file::compress;
use crate::file::encoding::Encoding;
use crate::file::identity::Known;

/// What one kept content costs beside its bytes, about.
const OVERHEAD: usize = 256;

/// The process's memory of files. Holds at most so many bytes, and no file that is larger than another limit.
pub struct Memory {
    capacity: usize,
    pub(super) file_max: u64,
    kept: Mutex<Kept>,
    pub(super) known: Mutex<Known>,
    /// How many files are kept open.
    pub(super) opened: Arc<AtomicUsize>,
    packing: Mutex<HashMap<Key, Order>>,
    pub(super) packers: Semaphore,
}

/// What content is kept under: the hash of the plain bytes, and how they are encoded here.
type Key = ([u8; 32], Encoding);

/// Content that is being packed: none until it is there.
type Order = watch::Receiver<Option<Arc<Content>>>;

/// Bytes in memory.
pub(crate) struct Content {
    bytes: Bytes,
    /// Of these bytes, encoded as they are.
    hash: [u8; 32],
    /// False: packing did not make it smaller; kept only so that nobody tries again.
    worth: bool,
    touched: AtomicBool,
}

#[derive(Default)]
struct Kept {
    contents: HashMap<Key, Arc<Content>>,
    /// In the order in which the hand passes.
    hand: VecDeque<Key>,
    used: usize,
}

impl Memory {
    /// A memory of at most `capacity` bytes, for files of at most `file_max` bytes.
    pub fn new(capacity: u64, file_max: u64) -> Memory {
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        Memory {
            capacity: usize::try_from(capacity).unwrap_or(usize::MAX),
            file_max,
            kept: Mutex::default(),
            known: Mutex::default(),
            opened: Arc::default(),
            packing: Mutex::default(),
            packers: Semaphore::new(cpus),
        }
    }

    /// The bytes in use now.
    pub fn used_bytes(&self) -> usize {
        lock(&self.kept).used
    }

    /// The number of files, and packed forms of them, held now.
    pub fn len(&self) -> usize {
        lock(&self.kept).contents.len()
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn takes(&self, size: u64) -> bool {
        size <= self.file_max
    }

    pub(crate) fn get(&self, hash: [u8; 32], encoding: Encoding) -> Option<Arc<Content>> {
        lock(&self.kept).contents.get(&(hash, encoding)).cloned()
    }

    /// Keeps plain bytes of this hash.
    pub(crate) fn put(&self, hash: [u8; 32], bytes: Bytes) -> Arc<Content> {
        let content = Content { bytes, hash, worth: true, touched: AtomicBool::new(false) };
        self.keep((hash, Encoding::Identity), content)
    }

    fn keep(&self, key: Key, content: Content) -> Arc<Content> {
        let content = Arc::new(content);
        let size = content.bytes.len() + OVERHEAD;
        if size > self.capacity {
            return content;
        }
        let mut kept = lock(&self.kept);
        if let Some(there) = kept.contents.get(&key) {
            return there.clone();
        }
        kept.make_room(self.capacity - size);
        kept.used += size;
        kept.hand.push_back(key);
        kept.contents.insert(key, content.clone());
        content
    }

    /// The content of this hash in this encoding: from memory, or packed now. However many ask, it is packed once,
    /// and to its end even if all of them leave. `None`: packing it does not pay.
    pub(crate) async fn packed(
        self: &Arc<Self>,
        hash: [u8; 32],
        encoding: Encoding,
        plain: &Bytes,
    ) -> Option<Arc<Content>> {
        let key = (hash, encoding);
        let content = match self.get(hash, encoding) {
            Some(content) => content,
            None => {
                let mut coming = self.order(key, plain);
                // An error means that the packing itself broke down.
                coming.wait_for(Option::is_some).await.ok()?.clone()?
            }
        };
        content.worth.then_some(content)
    }

    /// Sees to it that somebody packs it.
    fn order(self: &Arc<Self>, key: Key, plain: &Bytes) -> Order {
        let (sender, receiver) = watch::channel(None);
        match lock(&self.packing).entry(key) {
            Entry::Occupied(ordered) => return ordered.get().clone(),
            Entry::Vacant(vacant) => vacant.insert(receiver.clone()),
        };
        let (memory, plain) = (Arc::clone(self), plain.clone());
        tokio::spawn(async move {
            let content = memory.pack(key, plain).await;
            lock(&memory.packing).remove(&key);
            sender.send_replace(Some(content));
        });
        receiver
    }

    async fn pack(&self, key: Key, plain: Bytes) -> Arc<Content> {
        // Closed never; if it were, packing without a permit would do no harm.
        let _permit = self.packers.acquire().await;
        let packing = tokio::task::spawn_blocking(move || {
            let packed = compress::pack(key.1, &plain)?;
            Some((*blake3::hash(&packed).as_bytes(), Bytes::from(packed)))
        });
        let (hash, bytes, worth) = match packing.await {
            Ok(Some((hash, bytes))) => (hash, bytes, true),
            Ok(None) | Err(_) => ([0; 32], Bytes::new(), false),
        };
        self.keep(key, Content { bytes, hash, worth, touched: AtomicBool::new(false) })
    }
}

impl Content {
    pub(crate) fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    pub(crate) fn hash(&self) -> &[u8; 32] {
        &self.hash
    }

    /// The bytes, and a mark that somebody wanted them.
    pub(crate) fn take(&self) -> Bytes {
        // Written only when it changes: the line is shared by all threads.
        if !self.touched.load(Ordering::Relaxed) {
            self.touched.store(true, Ordering::Relaxed);
        }
        self.bytes.clone()
    }
}

impl Kept {
    fn make_room(&mut self, most: usize) {
        while self.used > most {
            let Some(key) = self.hand.pop_front() else { return };
            let Some(content) = self.contents.get(&key) else { continue };
            if content.touched.swap(false, Ordering::Relaxed) {
                self.hand.push_back(key);
                continue;
            }
            self.used -= content.bytes.len() + OVERHEAD;
            self.contents.remove(&key);
        }
    }
}

/// Nothing to hold yet.
pub(crate) fn nothing() -> Weak<Content> {
    Weak::new()
}

/// A thread that panicked left nothing half done here that matters: counts are only estimates.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(memory: &Memory, bytes: &'static [u8]) -> [u8; 32] {
        let hash = *blake3::hash(bytes).as_bytes();
        memory.put(hash, Bytes::from_static(bytes));
        hash
    }

    #[test]
    fn what_was_asked_for_stays_when_room_is_needed() {
        let memory = Memory::new(3 * (OVERHEAD as u64 + 4), 1000);
        let [a, b, c] = [b"aaaa", b"bbbb", b"cccc"].map(|bytes| put(&memory, bytes));
        assert_eq!(memory.len(), 3);
        assert_eq!(memory.get(a, Encoding::Identity).map(|a| a.take()), Some(Bytes::from_static(b"aaaa")));
        let d = put(&memory, b"dddd");
        let there = |hash| memory.get(hash, Encoding::Identity).is_some();
        assert_eq!([a, b, c, d].map(there), [true, false, true, true]);
        assert!(memory.used_bytes() <= 3 * (OVERHEAD + 4));
    }

    #[tokio::test]
    async fn what_was_begun_is_kept_though_nobody_waited() {
        let memory = Arc::new(Memory::new(1 << 20, 1 << 20));
        let plain = Bytes::from("abc ".repeat(1000));
        let hash = *blake3::hash(&plain).as_bytes();
        {
            let mut left = std::pin::pin!(memory.packed(hash, Encoding::Gzip, &plain));
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            assert!(left.as_mut().poll(&mut context).is_pending());
        }
        while memory.get(hash, Encoding::Gzip).is_none() {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        assert_eq!(memory.len(), 1);
    }

    #[test]
    fn what_is_too_large_is_not_kept_and_the_same_is_kept_once() {
        let memory = Memory::new(OVERHEAD as u64 + 4, 1000);
        put(&memory, b"aaaaa");
        assert!(memory.is_empty());
        put(&memory, b"aaaa");
        put(&memory, b"aaaa");
        assert_eq!((memory.len(), memory.used_bytes()), (1, OVERHEAD + 4));
    }

    #[tokio::test]
    async fn content_is_packed_once_however_many_ask() {
        let memory = Arc::new(Memory::new(1 << 20, 1 << 20));
        let plain = Bytes::from("abc ".repeat(1000));
        let hash = *blake3::hash(&plain).as_bytes();
        let [one, two] = tokio::join!(
            memory.packed(hash, Encoding::Gzip, &plain),
            memory.packed(hash, Encoding::Gzip, &plain)
        )
        .into();
        assert!(Arc::ptr_eq(&one.unwrap(), &two.unwrap()));
        assert!(lock(&memory.packing).is_empty());
        let noise: Bytes = (0..2000u32).flat_map(|i| *blake3::hash(&i.to_le_bytes()).as_bytes()).collect();
        let hash = *blake3::hash(&noise).as_bytes();
        assert!(memory.packed(hash, Encoding::Zstd, &noise).await.is_none());
        assert!(memory.packed(hash, Encoding::Zstd, &noise).await.is_none());
    }
}
