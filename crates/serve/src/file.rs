//! File: answers a request with a file of the pinned release.
//!
//! - what of it: [`conditional`], [`range`], [`encoding`]
//! - its name: [`etag`], [`mime`], `identity`; its bytes: [`memory`], `opened`, [`compress`]
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
pub(crate) mod held;
pub(crate) mod identity;
pub mod listing;
pub mod memory;
pub mod mime;
pub(crate) mod opened;
pub mod range;
mod sealed;
mod unsealed;

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};

use crate::body::Body;
use crate::file::cache::Entry;
use crate::file::form::{Form, Manner, Source};
use crate::tree::place::{Miss, Place};
use crate::tree::{Tree, What};

/// What matters of the request.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// The method.
    pub method: &'a Method,
    /// The header fields.
    pub headers: &'a HeaderMap,
    /// Whether the kernel can send files over its connection.
    pub by_kernel: bool,
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
        Ref::Kept(entry) => match sealed::at_once(&ask, tree, &entry) {
            Some(response) => Ok(response),
            None => Box::pin(sealed::serve(ask, tree, &entry)).await,
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
    let mut response = serve(Ask { method, headers: &headers, by_kernel: ask.by_kernel }, tree, file).await?;
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
            let response = match sealed::at_once(&ask, tree, &entry) {
                Some(response) => response,
                None => sealed::serve(ask, tree, &entry).await?,
            };
            // Only now: what could not be served is not remembered.
            tree.entries.keep(&found.url, &entry);
            Ok(response)
        }
        What::Open(file, stat) => {
            // It may get a packed sibling at any time.
            let varies = mime::is_compressible(&found.name);
            let manner = Manner::of(tree, &found.url, &found.name, varies);
            unsealed::serve(ask, tree, manner, &found.place, file, &stat).await
        }
        What::Dir | What::Seen => Err(Miss::Absent),
    }
}

fn answer(ask: &Ask<'_>, form: &Form, source: Source) -> Response<Body> {
    form.without_bytes(ask).unwrap_or_else(|| form.with_bytes(ask, source))
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
