//! Held: an opened file as it is now, read and kept if it is small, else named and left on disk.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use rustix::fs::Stat;

use crate::file::encoding::Encoding;
use crate::file::identity::Identity;
use crate::file::memory::{Content, Memory, lock};

/// Files up to this size are read and hashed where they are asked for; the page cache has them as a rule.
const READ_INLINE_BYTES: u64 = 256 * 1024;

/// Files above this size are not hashed at all: the first visitor would wait for it.
const HASH_MOST_BYTES: u64 = 64 * 1024 * 1024;

/// The same for files that were changed a moment ago: their hash cannot be remembered, so every visitor would wait.
const HASH_FRESH_BYTES: u64 = 8 * 1024 * 1024;

/// An opened file, read or ready to be sent from disk.
pub(crate) struct Held {
    pub(crate) name: Name,
    pub(crate) len: u64,
    pub(crate) bytes: Bits,
}

/// What its bytes are known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Name {
    /// The hash of its content.
    Content([u8; 32]),
    /// The hash of its identity: it is too large to be read for this.
    Place([u8; 32]),
    /// The same, but it was changed a moment ago and may be changing still.
    Moving([u8; 32]),
}

/// Where its bytes are.
pub(crate) enum Bits {
    Memory(Arc<Content>),
    Disk(Arc<File>),
}

impl Memory {
    /// A file as it is now: read and kept if it is small, else named and left on disk.
    pub(crate) async fn hold(&self, file: File, stat: &Stat) -> std::io::Result<Held> {
        let identity = Identity::of(stat);
        let known = lock(&self.known).get(&identity);
        let size = identity.size();
        if self.takes(size) {
            if let Some(content) = known.and_then(|hash| self.get(hash, Encoding::Identity)) {
                return Ok(Held::memory(content));
            }
            let limit = self.file_max;
            let read = on_a_thread_if(size > READ_INLINE_BYTES, move || {
                let bytes = read_up_to(&file, size, limit)?;
                let hash = bytes.as_ref().map(|bytes| *blake3::hash(bytes).as_bytes());
                Ok((file, bytes.zip(hash)))
            });
            match read.await? {
                (_, Some((bytes, hash))) => {
                    self.learn(identity, hash, stat);
                    return Ok(Held::memory(self.put(hash, bytes)));
                }
                // It grew beyond the limit meanwhile.
                (file, None) => return Ok(Held::disk(file, identity.unnamed(), size)),
            }
        }
        if let Some(hash) = known {
            return Ok(Held::disk(file, Name::Content(hash), size));
        }
        let most = if Identity::is_fresh(stat) { HASH_FRESH_BYTES } else { HASH_MOST_BYTES };
        if size > most {
            return Ok(Held::disk(file, identity.unnamed(), size));
        }
        // Hashing shares the processors with packing, however many ask.
        let _permit = self.packers.acquire().await;
        let (file, hash) = on_a_thread_if(true, move || {
            let hash = hash_of(&file, size)?;
            Ok((file, hash))
        })
        .await?;
        match hash {
            Some(hash) => {
                self.learn(identity, hash, stat);
                Ok(Held::disk(file, Name::Content(hash), size))
            }
            None => Ok(Held::disk(file, identity.unnamed(), size)),
        }
    }

    fn learn(&self, identity: Identity, hash: [u8; 32], stat: &Stat) {
        // Two writes within one tick of the clock would leave the same identity.
        if !Identity::is_fresh(stat) {
            lock(&self.known).learn(identity, hash);
        }
    }
}

impl Held {
    fn memory(content: Arc<Content>) -> Held {
        Held { name: Name::Content(*content.hash()), len: content.len(), bytes: Bits::Memory(content) }
    }

    fn disk(file: File, name: Name, len: u64) -> Held {
        Held { name, len, bytes: Bits::Disk(Arc::new(file)) }
    }
}

/// All of a file that should have `size` bytes; `None` if it has more than `most` by now.
pub(crate) fn read_up_to(file: &File, size: u64, most: u64) -> std::io::Result<Option<Bytes>> {
    let mut bytes = Vec::with_capacity(usize::try_from(size.min(most)).unwrap_or(0) + 1);
    let mut chunk = 0;
    loop {
        let len = bytes.len();
        if len as u64 > most {
            return Ok(None);
        }
        // One byte more than it should have, so that the end is seen by the same call as a rule.
        chunk = (bytes.capacity() - len).max(chunk).max(4096);
        bytes.resize(len + chunk, 0);
        let read = file.read_at(&mut bytes[len..], len as u64)?;
        bytes.truncate(len + read);
        if read == 0 || (read < chunk && bytes.len() as u64 == size) {
            return Ok((bytes.len() as u64 <= most).then(|| Bytes::from(bytes)));
        }
    }
}

/// The hash of a file's content; `None` if its length is not `size` any more.
fn hash_of(file: &File, size: u64) -> std::io::Result<Option<[u8; 32]>> {
    let mut hasher = blake3::Hasher::new();
    let mut chunk = vec![0; 128 * 1024];
    let mut at = 0;
    loop {
        let read = file.read_at(&mut chunk, at)?;
        if read == 0 {
            return Ok((at == size).then(|| *hasher.finalize().as_bytes()));
        }
        hasher.update(&chunk[..read]);
        at += read as u64;
    }
}

async fn on_a_thread_if<T: Send + 'static>(
    long: bool,
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> std::io::Result<T> {
    if long { tokio::task::spawn_blocking(work).await.map_err(std::io::Error::other)? } else { work() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_whole_whatever_its_stated_size() {
        let mut file = tempfile::tempfile().unwrap();
        std::io::Write::write_all(&mut file, &[7; 10_000]).unwrap();
        for said in [0, 9_999, 10_000, 10_001, 1 << 40] {
            let bytes = read_up_to(&file, said, 20_000).unwrap();
            assert_eq!(bytes.map(|bytes| bytes.len()), Some(10_000), "{said}");
        }
        assert_eq!(read_up_to(&file, 10_000, 9_999).unwrap(), None);
    }
}
