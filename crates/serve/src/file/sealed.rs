//! Sealed: a file of a sealed release. It never changes, so what was made for one request serves the next.

use std::fs::File;
use std::sync::{Arc, OnceLock};

use arc_swap::{ArcSwap, ArcSwapOption};
use http::{Response, header};

use crate::body::Body;
use crate::file::cache::{Entry, Packed, State};
use crate::file::encoding::{Encoding, Likes};
use crate::file::form::{Form, Manner, Source};
use crate::file::held::{Bits, Name};
use crate::file::memory::{Content, nothing};
use crate::file::opened::{self, Opened};
use crate::file::{Ask, FoundFile, answer, compress, mime, unreadable, unsealed};
use crate::tree::beneath::Want;
use crate::tree::place::{Miss, Origin, Place};
use crate::tree::{SealedFile, Tree, What};

/// The whole hot path: a sealed file whose bytes are in memory, without a system call; or one that is open, with one.
pub(crate) fn at_once(ask: &Ask<'_>, tree: &Tree, entry: &Entry) -> Option<Response<Body>> {
    if entry.manner.varies && ask.headers.contains_key(header::ACCEPT_ENCODING) {
        for encoding in entry.ranked(Likes::read(ask.headers)) {
            let state = entry.packed(encoding)?.state.load();
            match state.as_deref() {
                Some(State::Ready(form)) => return answer_at_once(ask, form),
                Some(State::Useless) => {}
                None if entry.offers(encoding) => return None,
                None => {}
            }
        }
    }
    let plain = entry.plain.load();
    match entry.by_kernel(ask, tree) {
        Some(file) => Some(answer(ask, &plain, Source::Disk(file))),
        None => answer_at_once(ask, &plain),
    }
}

fn answer_at_once(ask: &Ask<'_>, form: &Form) -> Option<Response<Body>> {
    form.without_bytes(ask).or_else(|| form.remembered().map(|source| form.with_bytes(ask, source)))
}

/// A sealed file, whatever has to be read or packed for it.
pub(crate) async fn serve(ask: Ask<'_>, tree: &Tree, entry: &Entry) -> Result<Response<Body>, Miss> {
    if entry.manner.varies {
        for encoding in entry.ranked(Likes::read(ask.headers)) {
            let Some(packed) = entry.packed(encoding) else { continue };
            if let Some(State::Useless) = packed.state.load().as_deref() {
                continue;
            }
            if let Some((place, sibling)) = &packed.sibling {
                let Ok(source) = read_sealed(tree, place, sibling).await else { continue };
                let form = sealed_form(&entry.manner, encoding, sibling, entry.file.mtime_ns, &source);
                let response = answer(&ask, &form, source.bits());
                packed.state.store(Some(Arc::new(State::Ready(form))));
                return Ok(response);
            } else if entry.packs {
                let Ok(Fetched::Memory(plain)) = read_sealed(tree, &entry.place, &entry.file).await else {
                    break;
                };
                match tree.memory.packed(entry.file.hash, encoding, &plain.take()).await {
                    None => packed.state.store(Some(Arc::new(State::Useless))),
                    Some(content) => {
                        let form = packed_form(&entry.manner, encoding, &content, entry.file.mtime_ns);
                        let response = answer(&ask, &form, Source::Memory(content.take()));
                        packed.state.store(Some(Arc::new(State::Ready(form))));
                        return Ok(response);
                    }
                }
            }
        }
    }
    match read_sealed(tree, &entry.place, &entry.file).await {
        Ok(source) => {
            let form =
                sealed_form(&entry.manner, Encoding::Identity, &entry.file, entry.file.mtime_ns, &source);
            let response = answer(&ask, &form, source.bits());
            entry.plain.store(Arc::new(form));
            Ok(response)
        }
        // Somebody edited what was sealed: then it is looked at as if it were not.
        Err(Changed(miss)) => match tree.open(entry.place.clone(), Want::Bytes)?.what {
            What::Open(file, stat) => {
                unsealed::serve(ask, tree, entry.manner.clone(), &entry.place, file, &stat).await
            }
            What::Dir | What::Sealed(_) | What::Seen => Err(miss),
        },
    }
}

/// The bytes of a sealed file are not those that were sealed, or it is gone.
struct Changed(Miss);

/// The bytes of a sealed file.
enum Fetched {
    Memory(Arc<Content>),
    Disk(Arc<File>),
}

impl Fetched {
    fn bits(self) -> Source {
        match self {
            Fetched::Memory(content) => Source::Memory(content.take()),
            Fetched::Disk(file) => Source::Disk(file),
        }
    }
}

/// The bytes of a sealed file: from memory, or read and checked against the seal; a large one is only opened.
async fn read_sealed(tree: &Tree, place: &Place, file: &SealedFile) -> Result<Fetched, Changed> {
    if tree.memory.takes(file.size)
        && let Some(content) = tree.memory.get(file.hash, Encoding::Identity)
    {
        return Ok(Fetched::Memory(content));
    }
    let What::Open(handle, stat) = tree.open(place.clone(), Want::Bytes).map_err(Changed)?.what else {
        return Err(Changed(Miss::Absent));
    };
    if u64::try_from(stat.st_size) != Ok(file.size) {
        return Err(Changed(Miss::Absent));
    }
    if !tree.memory.takes(file.size) {
        // Too large to be read for the proof; its time of change has to do.
        let mtime_ns = i128::from(stat.st_mtime) * 1_000_000_000 + i128::from(stat.st_mtime_nsec);
        if mtime_ns != i128::from(file.mtime_ns) {
            return Err(Changed(Miss::Absent));
        }
        return Ok(Fetched::Disk(Arc::new(handle)));
    }
    match tree.memory.hold(handle, &stat).await {
        Ok(held) => match (held.name, held.bytes) {
            (Name::Content(hash), Bits::Memory(content)) if hash == file.hash => Ok(Fetched::Memory(content)),
            (Name::Content(_) | Name::Place(_) | Name::Moving(_), Bits::Memory(_) | Bits::Disk(_)) => {
                Err(Changed(Miss::Absent))
            }
        },
        Err(error) => Err(Changed(unreadable(error))),
    }
}

fn sealed_form(
    manner: &Manner,
    encoding: Encoding,
    file: &SealedFile,
    mtime_ns: i64,
    from: &Fetched,
) -> Form {
    let content = match from {
        Fetched::Memory(content) => Arc::downgrade(content),
        Fetched::Disk(_) => nothing(),
    };
    Form::new(manner, encoding, &Name::Content(file.hash), file.size, seconds(mtime_ns), content)
}

fn packed_form(manner: &Manner, encoding: Encoding, content: &Arc<Content>, mtime_ns: i64) -> Form {
    let name = Name::Content(*content.hash());
    Form::new(manner, encoding, &name, content.len(), seconds(mtime_ns), Arc::downgrade(content))
}

fn seconds(mtime_ns: i64) -> i64 {
    mtime_ns.div_euclid(1_000_000_000)
}

impl Entry {
    pub(crate) fn new(tree: &Tree, found: &FoundFile, file: SealedFile) -> Entry {
        let packed = Encoding::CODED.map(|encoding| {
            let mut path = found.place.path.clone();
            path.extend_from_slice(encoding.extension());
            let sibling = tree.sealed(&path).map(|file| (Place { origin: Origin::Release, path }, file));
            Packed { sibling, state: ArcSwapOption::empty() }
        });
        let packs = packs(tree, &found.name, file.size);
        let varies = packs || packed.iter().any(|packed| packed.sibling.is_some());
        let manner = Manner::of(tree, &found.url, &found.name, varies);
        // Another release may have brought the same bytes into memory.
        let content =
            tree.memory.get(file.hash, Encoding::Identity).map_or(nothing(), |it| Arc::downgrade(&it));
        let name = Name::Content(file.hash);
        let plain = Form::new(&manner, Encoding::Identity, &name, file.size, seconds(file.mtime_ns), content);
        let plain = ArcSwap::from_pointee(plain);
        Entry { place: found.place.clone(), file, manner, packs, plain, packed, opened: OnceLock::new() }
    }

    /// The open file, where the kernel sends it better than we do.
    fn by_kernel(&self, ask: &Ask<'_>, tree: &Tree) -> Option<Arc<File>> {
        let size = self.file.size;
        if !ask.by_kernel || size < opened::LEAST_BYTES || !tree.memory.takes(size) {
            return None;
        }
        let opened = self.opened.get_or_init(|| Opened::open(tree, &self.place, &self.file));
        opened.as_ref()?.unchanged(&self.file)
    }

    /// The packed forms worth trying for this client, those of the build before ours.
    fn ranked(&self, likes: Likes) -> impl Iterator<Item = Encoding> {
        likes.ranked(|encoding| self.packed(encoding).is_some_and(|packed| packed.sibling.is_some()))
    }

    fn offers(&self, encoding: Encoding) -> bool {
        self.packs || self.packed(encoding).is_some_and(|packed| packed.sibling.is_some())
    }
}

/// Whether we would pack a sealed file of this name and size ourselves.
fn packs(tree: &Tree, name: &[u8], size: u64) -> bool {
    tree.says().compress
        && size >= compress::LEAST_BYTES
        && tree.memory.takes(size)
        && mime::is_compressible(name)
}
