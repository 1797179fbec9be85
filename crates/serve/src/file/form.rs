//! Form: one way a file can be sent (plain or packed), with its headers made in advance.

use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Weak};
use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};

use crate::body::{Body, FilePart, Part};
use crate::file::Ask;
use crate::file::conditional::{Validators, Verdict, plausible};
use crate::file::encoding::Encoding;
use crate::file::etag::ETag;
use crate::file::held::Name;
use crate::file::memory::Content;
use crate::file::range::{self, Asked, Span};

/// What all forms of a file have in common.
#[derive(Debug, Clone)]
pub(crate) struct Manner {
    pub(crate) content_type: HeaderValue,
    pub(crate) cache_control: Option<HeaderValue>,
    /// There is more than one form, so caches must look at `Accept-Encoding`.
    pub(crate) varies: bool,
}

/// One form.
pub(crate) struct Form {
    headers: HeaderMap,
    etag: ETag,
    modified: Option<SystemTime>,
    len: u64,
    /// The bytes, as long as [`crate::file::memory::Memory`] keeps them. Never there for what is sent from disk.
    content: Weak<Content>,
}

/// Where a form's bytes come from now.
pub(crate) enum Source {
    Memory(Bytes),
    Disk(Arc<File>),
}

impl Form {
    /// `mtime` in seconds since 1970.
    pub(crate) fn new(
        manner: &Manner,
        encoding: Encoding,
        name: &Name,
        len: u64,
        mtime: i64,
        content: Weak<Content>,
    ) -> Form {
        let etag = match name {
            Name::Content(hash) | Name::Place(hash) => ETag::strong(hash, encoding),
            Name::Moving(hash) => ETag::weak(hash, encoding),
        };
        let modified = plausible(mtime);
        let mut headers = HeaderMap::with_capacity(12);
        headers.insert(header::CONTENT_TYPE, manner.content_type.clone());
        headers.insert(header::ETAG, etag.value().clone());
        if let Some(value) =
            modified.and_then(|time| HeaderValue::try_from(httpdate::fmt_http_date(time)).ok())
        {
            headers.insert(header::LAST_MODIFIED, value);
        }
        headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        if let Some(value) = encoding.header() {
            headers.insert(header::CONTENT_ENCODING, value);
        }
        if manner.varies {
            headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        }
        if let Some(control) = &manner.cache_control {
            headers.insert(header::CACHE_CONTROL, control.clone());
        }
        Form { headers, etag, modified, len, content }
    }

    /// The bytes, if memory still has them.
    pub(crate) fn remembered(&self) -> Option<Source> {
        self.content.upgrade().map(|content| Source::Memory(content.take()))
    }

    /// What the conditions leave to be answered without the bytes: 304, 412, 416 and HEAD. `None`: bytes are needed.
    pub(crate) fn without_bytes(&self, ask: &Ask<'_>) -> Option<Response<Body>> {
        let validators = Validators { etag: &self.etag, modified: self.modified };
        match validators.judge(ask.method, ask.headers) {
            Verdict::Send => {}
            Verdict::NotModified => return Some(self.not_modified()),
            Verdict::Failed => return Some(empty(StatusCode::PRECONDITION_FAILED)),
        }
        if ask.method == Method::HEAD {
            let mut response = self.response(StatusCode::OK, Body::empty());
            response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(self.len));
            return Some(response);
        }
        None
    }

    /// The answer to a GET whose conditions hold.
    pub(crate) fn with_bytes(&self, ask: &Ask<'_>, source: Source) -> Response<Body> {
        if ask.headers.contains_key(header::RANGE) {
            let validators = Validators { etag: &self.etag, modified: self.modified };
            if validators.ranges_count(ask.headers) {
                match range::read(ask.headers, self.len) {
                    Asked::Whole => {}
                    Asked::Nothing => return self.unsatisfiable(),
                    Asked::Parts(parts) => return self.partial(&parts, &source),
                }
            }
        }
        let body = match source {
            Source::Memory(bytes) => Body::full(bytes),
            Source::Disk(file) => Body::file(file, 0, self.len),
        };
        self.response(StatusCode::OK, body)
    }

    fn partial(&self, parts: &[Span], source: &Source) -> Response<Body> {
        if let [span] = parts {
            let body = match source.part(*span) {
                Part::Memory(bytes) => Body::full(bytes),
                part @ (Part::File(_) | Part::Stream(_)) => Body::parts([part]),
            };
            let mut response = self.response(StatusCode::PARTIAL_CONTENT, body);
            set(&mut response, header::CONTENT_RANGE, range::content_range(*span, self.len));
            return response;
        }
        // Random, so that no file can contain it on purpose.
        let boundary = format!("{:016x}", RandomState::new().hash_one(self.len));
        let mut pieces = Vec::with_capacity(parts.len() * 2 + 1);
        for span in parts {
            let mut head = format!("\r\n--{boundary}\r\ncontent-type: ").into_bytes();
            head.extend_from_slice(self.headers.get(header::CONTENT_TYPE).map_or(b"", HeaderValue::as_bytes));
            head.extend_from_slice(b"\r\ncontent-range: ");
            head.extend_from_slice(range::content_range(*span, self.len).as_bytes());
            head.extend_from_slice(b"\r\n\r\n");
            pieces.push(Part::Memory(head.into()));
            pieces.push(source.part(*span));
        }
        pieces.push(Part::Memory(format!("\r\n--{boundary}--\r\n").into()));
        let mut response = self.response(StatusCode::PARTIAL_CONTENT, Body::parts(pieces));
        set(&mut response, header::CONTENT_TYPE, format!("multipart/byteranges; boundary={boundary}"));
        response
    }

    fn response(&self, status: StatusCode, body: Body) -> Response<Body> {
        let mut response = Response::new(body);
        *response.status_mut() = status;
        *response.headers_mut() = self.headers.clone();
        response
    }

    /// RFC 9110, 15.4.5: what caches need to freshen what they have, and no more.
    fn not_modified(&self) -> Response<Body> {
        let mut response = empty(StatusCode::NOT_MODIFIED);
        for name in [header::ETAG, header::LAST_MODIFIED, header::VARY, header::CACHE_CONTROL] {
            if let Some(value) = self.headers.get(&name) {
                response.headers_mut().insert(name, value.clone());
            }
        }
        response
    }

    fn unsatisfiable(&self) -> Response<Body> {
        let mut response = empty(StatusCode::RANGE_NOT_SATISFIABLE);
        set(&mut response, header::CONTENT_RANGE, format!("bytes */{}", self.len));
        response
    }
}

impl Source {
    fn part(&self, span: Span) -> Part {
        match self {
            Source::Memory(bytes) => {
                let at = |offset: u64| usize::try_from(offset).map_or(bytes.len(), |at| at.min(bytes.len()));
                Part::Memory(bytes.slice(at(span.offset)..at(span.offset + span.len)))
            }
            Source::Disk(file) => {
                Part::File(FilePart { file: file.clone(), offset: span.offset, len: span.len })
            }
        }
    }
}

fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

fn set(response: &mut Response<Body>, name: header::HeaderName, value: String) {
    // Numbers and fixed words: always a legal value.
    if let Ok(value) = HeaderValue::try_from(value) {
        response.headers_mut().insert(name, value);
    }
}
