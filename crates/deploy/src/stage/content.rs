//! The bytes of a file: read, written, copied, and hashed on the way.

use rustix::fd::OwnedFd;
use rustix::fs::copy_file_range;
use rustix::io::Errno;

use crate::store::blob::Hash;

/// Files up to this size are read whole before it is decided whether they need to be written.
pub(crate) const BUFFER: usize = 1 << 20;

/// Which of the two ends of a copy failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Source(Errno),
    Release(Errno),
}

/// Copies so many bytes without looking at them, in the kernel where it can; says how many the file lacked.
pub(crate) fn copy(file: &OwnedFd, to: &OwnedFd, bytes: u64, mut count: impl FnMut(u64)) -> Result<u64, End> {
    let mut left = bytes;
    while left > 0 {
        let step = usize::try_from(left.min(64 << 20)).unwrap_or(usize::MAX);
        match copy_file_range(file, None, to, None, step) {
            Ok(0) => break,
            Ok(n) => {
                left = left.saturating_sub(n as u64);
                count(n as u64);
            }
            Err(Errno::INTR) => {}
            // Not between these two file systems: by hand, from where it stopped.
            Err(Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::PERM) => {
                let mut buffer = vec![0; BUFFER];
                stream(file, &mut buffer, |bytes| {
                    left = left.saturating_sub(bytes.len() as u64);
                    count(bytes.len() as u64);
                    write_all(to, bytes)
                })?;
                break;
            }
            Err(why @ Errno::IO) => return Err(End::Source(why)),
            Err(why) => return Err(End::Release(why)),
        }
    }
    Ok(left)
}

pub(crate) fn read_up_to(file: &OwnedFd, buffer: &mut [u8]) -> Result<usize, Errno> {
    let mut filled = 0;
    while let Some(room) = buffer.get_mut(filled..).filter(|room| !room.is_empty()) {
        match rustix::io::read(file, room) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(Errno::INTR) => {}
            Err(why) => return Err(why),
        }
    }
    Ok(filled)
}

/// Reads a file to its end, hands on its bytes, and gives their hash.
pub(crate) fn stream(
    file: &OwnedFd,
    buffer: &mut [u8],
    mut sink: impl FnMut(&[u8]) -> Result<(), Errno>,
) -> Result<Hash, End> {
    let mut hasher = blake3::Hasher::new();
    loop {
        let n = read_up_to(file, buffer).map_err(End::Source)?;
        let bytes = buffer.get(..n).unwrap_or_default();
        if bytes.is_empty() {
            return Ok(*hasher.finalize().as_bytes());
        }
        hasher.update(bytes);
        sink(bytes).map_err(End::Release)?;
    }
}

/// The hash of a file's content.
pub(crate) fn read_hash(file: &OwnedFd) -> Result<Hash, Errno> {
    let mut buffer = vec![0; 256 << 10];
    stream(file, &mut buffer, |_| Ok(())).map_err(|end| match end {
        End::Source(why) | End::Release(why) => why,
    })
}

pub(crate) fn write_all(file: &OwnedFd, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match rustix::io::write(file, bytes) {
            Ok(0) => return Err(Errno::NOSPC),
            Ok(n) => bytes = bytes.get(n..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(why) => return Err(why),
        }
    }
    Ok(())
}
