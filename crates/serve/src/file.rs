//! File: answers a request with a file of the pinned release.
//!
//! - what of it: [`conditional`], [`range`], [`encoding`]
//! - its name: [`etag`], [`mime`], `identity`; its bytes: [`memory`], [`compress`]
//! - what is ready in advance: `cache` (entries of a sealed release), `form` (headers)
//! - directories: [`listing`]
//!
//! ```text
//!   sealed:   Entry (by URL path) -> Form -> Memory (by hash), else read, checked against the seal, kept
//!   unsealed: opened and looked at for each request -> hash known by identity, else read -> Memory
//! ```

pub(crate) mod cache;
pub mod compress;
pub mod conditional;
pub mod encoding;
pub mod etag;
pub(crate) mod form;
pub(crate) mod identity;
pub mod listing;
pub mod memory;
pub mod mime;
pub mod range;

use std::fs::File;
use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use rustix::fs::Stat;

use crate::body::Body;
use crate::file::cache::{Entry, Packed, State};
use crate::file::encoding::{Encoding, Likes};
use crate::file::form::{Form, Manner, Source};
use crate::file::memory::{Bits, Content, Name, nothing};
use crate::tree::beneath::Want;
use crate::tree::place::{Miss, Origin, Place};
use crate::tree::{SealedFile, Tree, What};

/// What matters of the request.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// The method.
    pub method: &'a Method,
    /// The header fields.
    pub headers: &'a HeaderMap,
}

/// A file that a path was resolved to.
pub struct FileRef(pub(crate) Ref);

pub(crate) enum Ref {
    /// One that was sent before.
    Kept(Arc<Entry>),
    /// One that was found just now.
    Found(Box<FoundFile>),
}

/// A file that was found just now.
pub(crate) struct FoundFile {
    /// The URL path by which it was asked for.
    pub(crate) url: Box<[u8]>,
    /// The name that says its type.
    pub(crate) name: Box<[u8]>,
    pub(crate) place: Place,
    pub(crate) what: What,
}

/// Answers with the file: conditions, ranges and encodings as RFC 9110 says. 405 for anything but GET and HEAD.
/// A file that vanished since it was found is an error: nothing was answered yet.
pub async fn serve(ask: Ask<'_>, tree: &Tree, file: FileRef) -> Result<Response<Body>, Miss> {
    if ask.method != Method::GET && ask.method != Method::HEAD {
        return Ok(method_not_allowed());
    }
    match file.0 {
        Ref::Kept(entry) => match at_once(&ask, &entry) {
            Some(response) => Ok(response),
            None => Box::pin(sealed(ask, tree, &entry)).await,
        },
        Ref::Found(found) => Box::pin(serve_found(ask, tree, *found)).await,
    }
}

/// The file as the body of an answer of this status: an error page. Neither conditions nor ranges count for it.
pub async fn page(
    ask: Ask<'_>,
    tree: &Tree,
    file: FileRef,
    status: StatusCode,
) -> Result<Response<Body>, Miss> {
    let mut headers = HeaderMap::new();
    for value in ask.headers.get_all(header::ACCEPT_ENCODING) {
        headers.append(header::ACCEPT_ENCODING, value.clone());
    }
    // The error may have been met by a POST.
    let method = if ask.method == Method::HEAD { &Method::HEAD } else { &Method::GET };
    let mut response = serve(Ask { method, headers: &headers }, tree, file).await?;
    *response.status_mut() = status;
    for name in [header::ETAG, header::LAST_MODIFIED, header::ACCEPT_RANGES, header::CACHE_CONTROL] {
        response.headers_mut().remove(name);
    }
    Ok(response)
}

/// 405, with what is allowed.
pub fn method_not_allowed() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
    response
}

async fn serve_found(ask: Ask<'_>, tree: &Tree, found: FoundFile) -> Result<Response<Body>, Miss> {
    match found.what {
        What::Sealed(file) => {
            let entry = Arc::new(Entry::new(tree, &found, file));
            let response = match at_once(&ask, &entry) {
                Some(response) => response,
                None => sealed(ask, tree, &entry).await?,
            };
            // Only now: what could not be served is not remembered.
            tree.entries.keep(&found.url, &entry);
            Ok(response)
        }
        What::Open(file, stat) => {
            // It may get a packed sibling at any time.
            let varies = mime::is_compressible(&found.name);
            let manner = Manner::of(tree, &found.url, &found.name, varies);
            unsealed(ask, tree, manner, &found.place, file, &stat).await
        }
        What::Dir | What::Seen => Err(Miss::Absent),
    }
}

/// The whole hot path: a sealed file whose bytes are in memory, without a system call.
fn at_once(ask: &Ask<'_>, entry: &Entry) -> Option<Response<Body>> {
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
    answer_at_once(ask, &entry.plain.load())
}

fn answer_at_once(ask: &Ask<'_>, form: &Form) -> Option<Response<Body>> {
    form.without_bytes(ask).or_else(|| form.remembered().map(|source| form.with_bytes(ask, source)))
}

/// A sealed file, whatever has to be read or packed for it.
async fn sealed(ask: Ask<'_>, tree: &Tree, entry: &Entry) -> Result<Response<Body>, Miss> {
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
                unsealed(ask, tree, entry.manner.clone(), &entry.place, file, &stat).await
            }
            What::Dir | What::Sealed(_) | What::Seen => Err(miss),
        },
    }
}

/// A file that may change: opened and looked at for this request.
async fn unsealed(
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
            let (source, content) = opened(held.bytes);
            let form = Form::new(&manner, encoding, &held.name, held.len, stat.st_mtime, content);
            return Ok(answer(&ask, &form, source));
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
    let (source, content) = opened(held.bytes);
    let form = Form::new(&manner, Encoding::Identity, &held.name, held.len, stat.st_mtime, content);
    Ok(answer(&ask, &form, source))
}

fn answer(ask: &Ask<'_>, form: &Form, source: Source) -> Response<Body> {
    form.without_bytes(ask).unwrap_or_else(|| form.with_bytes(ask, source))
}

fn opened(bits: Bits) -> (Source, std::sync::Weak<Content>) {
    match bits {
        Bits::Memory(content) => (Source::Memory(content.take()), nothing()),
        Bits::Disk(file) => (Source::Disk(file), nothing()),
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

fn unreadable(error: std::io::Error) -> Miss {
    Miss::from(rustix::io::Errno::from_io_error(&error).unwrap_or(rustix::io::Errno::IO))
}

impl Manner {
    /// How a file of this name is sent at this URL path.
    fn of(tree: &Tree, url: &[u8], name: &[u8], varies: bool) -> Manner {
        let control = tree.says().cache.iter().find(|rule| rule.path.matches(url));
        Manner {
            content_type: mime::content_type(name),
            cache_control: control.and_then(|rule| HeaderValue::from_str(&rule.control).ok()),
            varies,
        }
    }
}

impl Entry {
    fn new(tree: &Tree, found: &FoundFile, file: SealedFile) -> Entry {
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
        Entry { place: found.place.clone(), file, manner, packs, plain: ArcSwap::from_pointee(plain), packed }
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
