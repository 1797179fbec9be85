//! Page: one thing to ask, and what each release answers.

use bytes::Bytes;
use std::time::Duration;

/// One thing to ask of the site, how often, and how to tell whose answer it is.
#[derive(Clone, Debug)]
pub struct Page {
    /// A short name for the report.
    pub name: String,
    /// Its share of the load, relative to the other pages; 0 is never asked.
    pub weight: u32,
    /// The request.
    pub ask: Ask,
    /// What a release answers.
    pub expect: Expect,
}

/// A request.
#[derive(Clone, Debug)]
pub struct Ask {
    /// `GET`, `HEAD`, `POST`.
    pub method: String,
    /// Path and query, as it stands on the request line.
    pub path: String,
    /// More header lines, without `Host`, `Connection` and `Content-Length`.
    pub headers: Vec<(String, String)>,
    /// The body, in pieces that are sent with a pause before each; empty: no body.
    pub upload: Vec<Piece>,
}

/// A part of an upload.
#[derive(Clone, Debug)]
pub struct Piece {
    /// Wait so long first.
    pub pause: Duration,
    /// Then send this.
    pub bytes: Bytes,
}

/// How to tell whose answer it is.
#[derive(Clone, Debug)]
pub enum Expect {
    /// The answer of each release is known: one per release of the scenario, in its order.
    Exact(Vec<Answer>),
    /// The answer carries the release's marks (see [`crate::scenario::Marks`]) among other text.
    Marked {
        /// The status that every release answers.
        status: u16,
        /// At least so many marks stand in the body (more is fine).
        at_least: usize,
        /// Texts that every release's answer contains.
        contains: Vec<String>,
    },
    /// Nothing is known but what the release's header says (see [`crate::scenario::Marks::header`]); it must be there.
    Named {
        /// The status that every release answers; `None`: any below 500.
        status: Option<u16>,
    },
    /// The hash of each release's answer is known: one per release of the scenario, in its order.
    Hashed(Vec<Print>),
}

/// A status and the hash of a body: what a release's answer to a known page is told by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Print {
    /// The status.
    pub status: u16,
    /// BLAKE3 of the body without its framing.
    pub hash: [u8; 32],
}

/// What one release answers to one page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The whole body, byte for byte; `None`: whatever it is (the server's own error page).
    pub body: Option<Bytes>,
}

impl Ask {
    /// A plain GET.
    #[must_use]
    pub fn get(path: &str) -> Self {
        Self { method: "GET".to_owned(), path: path.to_owned(), headers: Vec::new(), upload: Vec::new() }
    }

    /// A POST of `body`, all at once.
    #[must_use]
    pub fn post(path: &str, content_type: &str, body: Bytes) -> Self {
        Self {
            method: "POST".to_owned(),
            path: path.to_owned(),
            headers: vec![("Content-Type".to_owned(), content_type.to_owned())],
            upload: vec![Piece { pause: Duration::ZERO, bytes: body }],
        }
    }

    /// The same with one more header line.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

impl Page {
    /// A page of which each release's answer is known.
    #[must_use]
    pub fn exact(name: &str, weight: u32, ask: Ask, answers: Vec<Answer>) -> Self {
        Self { name: name.to_owned(), weight, ask, expect: Expect::Exact(answers) }
    }

    /// A path of any site whose answers name their release in a header, and nothing else is known of them.
    #[must_use]
    pub fn named(path: &str) -> Self {
        let expect = Expect::Named { status: None };
        Self { name: path.to_owned(), weight: 1, ask: Ask::get(path), expect }
    }
}

impl Print {
    /// Of an answer.
    #[must_use]
    pub fn of(status: u16, body: &[u8]) -> Self {
        Self { status, hash: *blake3::hash(body).as_bytes() }
    }
}

impl Answer {
    /// A status and a body.
    #[must_use]
    pub fn of(status: u16, body: impl Into<Bytes>) -> Self {
        Self { status, body: Some(body.into()) }
    }

    /// A status with any body.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self { status, body: None }
    }
}
