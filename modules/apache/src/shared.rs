//! Shared: a short text in memory that a server's processes share, each of which may be killed while it writes.
//!
//! No lock: one that a killed process holds would be held for ever. A hash says whether what is read is whole.

use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};
use std::ffi::c_void;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU64, Ordering};

/// The hash, the length, and as much text.
const WORDS: usize = 128;
const LONGEST: usize = (WORDS - 2) * 8;

/// A text that processes share; parents hand it to their children.
pub struct Shared(Option<NonNull<[AtomicU64; WORDS]>>);

/// A text to be said again and again, with its hash.
pub struct Text {
    bytes: Vec<u8>,
    hash: u64,
}

impl Text {
    /// This text.
    pub fn new(bytes: &[u8]) -> Text {
        Text { bytes: bytes.to_vec(), hash: hash(bytes) }
    }
}

// SAFETY: only atomics are behind the pointer.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    /// Memory for a text, empty. Where none is to be had, nothing is shared, and each process knows its own.
    pub fn new() -> Shared {
        // SAFETY: new memory, where the kernel likes; it is zero, which is what atomics may be.
        let mapped = unsafe {
            mmap_anonymous(ptr::null_mut(), WORDS * 8, ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED)
        };
        Shared(mapped.ok().and_then(|at| NonNull::new(at.cast())))
    }

    fn words(&self) -> Option<&[AtomicU64; WORDS]> {
        // SAFETY: mapped in `new`, unmapped when dropped.
        self.0.map(|words| unsafe { words.as_ref() })
    }

    /// Says this text. A text that is too long is forgotten, and what was said before with it.
    pub fn write(&self, text: &Text) {
        let Some(words) = self.words() else { return };
        let (text, hash) = (&*text.bytes, text.hash);
        if words[0].load(Ordering::Relaxed) == hash {
            return;
        }
        words[0].store(0, Ordering::Release);
        if text.len() > LONGEST {
            return;
        }
        words[1].store(text.len() as u64, Ordering::Release);
        for (word, bytes) in words[2..].iter().zip(text.chunks(8)) {
            let mut whole = [0; 8];
            whole[..bytes.len()].copy_from_slice(bytes);
            word.store(u64::from_ne_bytes(whole), Ordering::Release);
        }
        words[0].store(hash, Ordering::Release);
    }

    /// The text that was said last; `None`: none was, or it is being written, or was not written to its end.
    pub fn read(&self) -> Option<Vec<u8>> {
        let words = self.words()?;
        let said = words[0].load(Ordering::Acquire);
        let length =
            usize::try_from(words[1].load(Ordering::Acquire)).ok().filter(|length| *length <= LONGEST)?;
        let mut text: Vec<u8> = words[2..2 + length.div_ceil(8)]
            .iter()
            .flat_map(|word| word.load(Ordering::Acquire).to_ne_bytes())
            .collect();
        text.truncate(length);
        (said != 0 && said == hash(&text)).then_some(text)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(at) = self.0 {
            // SAFETY: mapped in `new` with this size; nobody borrows it any more. That it cannot be unmapped cannot be.
            unsafe { munmap(at.as_ptr().cast::<c_void>(), WORDS * 8) }.unwrap_or(());
        }
    }
}

/// FNV-1a, never zero.
fn hash(text: &[u8]) -> u64 {
    let mixed = text.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    mixed.max(1)
}
