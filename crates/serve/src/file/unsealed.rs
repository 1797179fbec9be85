//! Unsealed: a file that may change, so it is opened and looked at for each request, and its edits show at once.

use std::fs::File;

use http::Response;
use rustix::fs::Stat;

use crate::body::Body;
use crate::file::encoding::{Encoding, Likes};
use crate::file::form::{Form, Manner, Source};
use crate::file::held::{Bits, Name};
use crate::file::memory::nothing;
use crate::file::{Ask, answer, compress, unreadable};
use crate::tree::beneath::Want;
use crate::tree::place::{Miss, Place};
use crate::tree::{Tree, What};

/// A file that may change: opened and looked at for this request.
pub(crate) async fn serve(
    ask: Ask<'_>,
    tree: &Tree,
    manner: Manner,
    place: &Place,
    file: File,
    stat: &Stat,
) -> Result<Response<Body>, Miss> {
    let likes = if manner.varies { Likes::read(ask.headers) } else { Likes::default() };
    for encoding in likes.ranked(|_| false) {
        if let Some((file, sibling)) = sibling(tree, place, encoding, stat) {
            let held = tree.memory.hold(file, &sibling).await.map_err(unreadable)?;
            let form = Form::new(&manner, encoding, &held.name, held.len, stat.st_mtime, nothing());
            return Ok(answer(&ask, &form, source(held.bytes)));
        }
    }
    let held = tree.memory.hold(file, stat).await.map_err(unreadable)?;
    if let (true, Bits::Memory(plain), Name::Content(hash)) = (tree.says().compress, &held.bytes, held.name)
        && held.len >= compress::LEAST_BYTES
    {
        for encoding in likes.ranked(|_| false) {
            if let Some(content) = tree.memory.packed(hash, encoding, &plain.take()).await {
                let name = Name::Content(*content.hash());
                let form = Form::new(&manner, encoding, &name, content.len(), stat.st_mtime, nothing());
                return Ok(answer(&ask, &form, Source::Memory(content.take())));
            }
        }
    }
    let form = Form::new(&manner, Encoding::Identity, &held.name, held.len, stat.st_mtime, nothing());
    Ok(answer(&ask, &form, source(held.bytes)))
}

fn source(bits: Bits) -> Source {
    match bits {
        Bits::Memory(content) => Source::Memory(content.take()),
        Bits::Disk(file) => Source::Disk(file),
    }
}

/// The packed form that lies beside an unsealed file, unless the file was edited since it was made.
fn sibling(tree: &Tree, place: &Place, encoding: Encoding, of: &Stat) -> Option<(File, Stat)> {
    let mut path = place.path.clone();
    path.extend_from_slice(encoding.extension());
    match tree.open(Place { origin: place.origin, path }, Want::Bytes).ok()?.what {
        What::Open(file, stat) if (stat.st_mtime, stat.st_mtime_nsec) >= (of.st_mtime, of.st_mtime_nsec) => {
            Some((file, stat))
        }
        What::Open(..) | What::Dir | What::Sealed(_) | What::Seen => None,
    }
}
