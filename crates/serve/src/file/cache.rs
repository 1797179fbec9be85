//! Entries: the files of one sealed release that were asked for, by URL path, ready to be sent.
//!
//! They hold names and headers; the bytes are in [`crate::file::memory::Memory`], which may drop them at any time.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use arc_swap::{ArcSwap, ArcSwapOption};

use crate::file::encoding::Encoding;
use crate::file::form::{Form, Manner};
use crate::file::opened::Opened;
use crate::tree::SealedFile;
use crate::tree::place::Place;

/// A power of two. More shards make a new entry cheaper, since its shard is copied.
const SHARDS: usize = 16;

/// Entries per shard; at about 1.5 KB each all shards stay below 6 MB. A full shard is emptied: an entry is made
/// again in microseconds.
const MOST: usize = 256;

/// Entries by URL path; replaced as a whole, so that readers never wait.
type Shard = ArcSwap<HashMap<Box<[u8]>, Arc<Entry>>>;

/// What is known of one sealed release's files.
pub(crate) struct Entries {
    shards: [Shard; SHARDS],
}

/// A sealed file that was sent before.
pub struct Entry {
    pub(crate) place: Place,
    pub(crate) file: SealedFile,
    pub(crate) manner: Manner,
    /// We pack it ourselves where no packed form lies beside it.
    pub(crate) packs: bool,
    pub(crate) plain: ArcSwap<Form>,
    /// In the order of [`Encoding::CODED`].
    pub(crate) packed: [Packed; 3],
    /// The plain file, once the kernel was asked to send it. `None`: it could not be kept open.
    pub(crate) opened: OnceLock<Option<Opened>>,
}

/// One packed form of a sealed file.
pub(crate) struct Packed {
    /// The file that a build put beside it.
    pub(crate) sibling: Option<(Place, SealedFile)>,
    pub(crate) state: ArcSwapOption<State>,
}

/// What is known about a packed form.
pub(crate) enum State {
    Ready(Form),
    /// It would not be smaller.
    Useless,
}

impl Entry {
    pub(crate) fn packed(&self, encoding: Encoding) -> Option<&Packed> {
        let at = Encoding::CODED.iter().position(|coded| *coded == encoding)?;
        self.packed.get(at)
    }
}

impl Default for Entries {
    fn default() -> Self {
        Self { shards: std::array::from_fn(|_| ArcSwap::default()) }
    }
}

impl Entries {
    pub(crate) fn get(&self, url: &[u8]) -> Option<Arc<Entry>> {
        self.shard(url).load().get(url).cloned()
    }

    pub(crate) fn keep(&self, url: &[u8], entry: &Arc<Entry>) {
        self.shard(url).rcu(|map| {
            let mut map = if map.len() < MOST { HashMap::clone(map) } else { HashMap::new() };
            map.insert(url.into(), entry.clone());
            map
        });
    }

    fn shard(&self, url: &[u8]) -> &Shard {
        // The end of a path varies most.
        let mixed =
            url.iter().rev().take(8).fold(url.len(), |sum, byte| sum.wrapping_mul(31) ^ usize::from(*byte));
        &self.shards[mixed & (SHARDS - 1)]
    }
}
