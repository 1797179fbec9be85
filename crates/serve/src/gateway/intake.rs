//! Intake: a request's body on its way to a script: taken whole first (memory, then an unlinked file), or as it comes.

use std::fs::File;
use std::io::{self, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use fastcgi::client;
use http::{HeaderMap, header};
use http_body::Body as _;
use http_body_util::BodyExt;
use tokio::task::spawn_blocking;

use crate::spool::Reading;
use crate::upload::{Upload, UploadError};

/// Bytes gathered for one write to the file.
const GATHERED: usize = 256 * 1024;

/// How a body is taken.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// Bytes that a body may have.
    pub most: u64,
    /// Bytes of it that are kept in memory.
    pub memory: u64,
    /// Before a script is asked, all of it must be here: a slow client holds no worker.
    pub whole: bool,
}

/// A request's body.
pub enum Intake {
    /// There is none, not even an empty one.
    None,
    /// All of it.
    Memory(Bytes),
    /// All of it, in a file without a name.
    Disk(Arc<File>, u64),
    /// Still to come, of this length.
    Live(Upload, u64),
}

/// Why there is no body to give to a script.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// More bytes than the limit.
    #[error("the body is longer than {0} bytes")]
    TooLong(u64),
    /// The client stopped sending it.
    #[error("the body did not come: {0}")]
    Cut(#[source] UploadError),
    /// No room for it.
    #[error("the body cannot be kept: {0}")]
    Kept(#[source] io::Error),
}

impl Intake {
    /// Takes the body of a request with these headers.
    pub async fn take(headers: &HeaderMap, body: Upload, rules: Rules) -> Result<Intake, IntakeError> {
        let told =
            headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        if told.is_some_and(|len| len > rules.most) {
            return Err(IntakeError::TooLong(rules.most));
        }
        if body.is_end_stream() {
            return Ok(if told.is_some() { Intake::Memory(Bytes::new()) } else { Intake::None });
        }
        match told {
            // PHP reads as much as CONTENT_LENGTH says: without one it must be counted first.
            Some(len) if !rules.whole => Ok(Intake::Live(body, len)),
            Some(_) | None => whole(body, rules).await,
        }
    }

    /// How many bytes a script gets; `None` where there is no body.
    pub fn length(&self) -> Option<u64> {
        match self {
            Intake::None => None,
            Intake::Memory(bytes) => Some(bytes.len() as u64),
            Intake::Disk(_, len) | Intake::Live(_, len) => Some(*len),
        }
    }

    /// As a body for FastCGI.
    pub fn into_body(self) -> client::Body {
        match self {
            Intake::None => client::Body::Empty,
            Intake::Memory(bytes) if bytes.is_empty() => client::Body::Empty,
            Intake::Memory(bytes) => client::Body::Whole(bytes),
            Intake::Disk(file, len) => {
                client::Body::Stream(Box::pin(Stored { file, at: 0, len, reading: None }))
            }
            Intake::Live(body, len) => client::Body::Stream(Box::pin(Live { body, left: len })),
        }
    }
}

async fn whole(mut body: Upload, rules: Rules) -> Result<Intake, IntakeError> {
    let mut len = 0;
    let mut first = Bytes::new();
    let mut gathered = BytesMut::new();
    let mut file: Option<File> = None;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(IntakeError::Cut)?.into_data() else { continue };
        len += data.len() as u64;
        if len > rules.most {
            return Err(IntakeError::TooLong(rules.most));
        }
        // Most bodies are one piece, and that is not copied.
        if first.is_empty() && gathered.is_empty() && file.is_none() {
            first = data;
        } else {
            gathered.extend_from_slice(&std::mem::take(&mut first));
            gathered.extend_from_slice(&data);
        }
        let many = file.is_none() || gathered.len() >= GATHERED;
        if len > rules.memory && many {
            gathered.extend_from_slice(&std::mem::take(&mut first));
            file = Some(store(file, gathered.split().freeze()).await?);
        }
    }
    match file {
        None if gathered.is_empty() => Ok(Intake::Memory(first)),
        None => Ok(Intake::Memory(gathered.freeze())),
        some => Ok(Intake::Disk(Arc::new(store(some, gathered.freeze()).await?), len)),
    }
}

async fn store(file: Option<File>, bytes: Bytes) -> Result<File, IntakeError> {
    let write = move || {
        let mut file = match file {
            Some(file) => file,
            None => tempfile::tempfile()?,
        };
        file.write_all(&bytes)?;
        Ok(file)
    };
    spawn_blocking(write).await.unwrap_or_else(|why| Err(io::Error::other(why))).map_err(IntakeError::Kept)
}

/// A body in a file.
struct Stored {
    file: Arc<File>,
    at: u64,
    len: u64,
    reading: Option<Reading>,
}

impl client::BodySource for Stored {
    fn poll_piece(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        let this = &mut *self;
        if this.at == this.len {
            return Poll::Ready(None);
        }
        let reading =
            this.reading.get_or_insert_with(|| Reading::start(Arc::clone(&this.file), this.at, this.len));
        let read = ready!(reading.poll(cx));
        this.reading = None;
        if let Ok(bytes) = &read {
            this.at += bytes.len() as u64;
        }
        Poll::Ready(Some(read))
    }
}

/// A body that is still on its way.
struct Live {
    body: Upload,
    left: u64,
}

impl client::BodySource for Live {
    fn poll_piece(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        loop {
            let frame = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                None if self.left > 0 => return Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into()))),
                None => return Poll::Ready(None),
                Some(Err(why)) => return Poll::Ready(Some(Err(io::Error::other(why)))),
                Some(Ok(frame)) => frame,
            };
            let Ok(data) = frame.into_data() else { continue };
            // HTTP/2 may carry more than its header told (hyper resets it; this is the second lock).
            let Some(left) = self.left.checked_sub(data.len() as u64) else {
                return Poll::Ready(Some(Err(io::Error::other(
                    "the body is longer than its Content-Length",
                ))));
            };
            self.left = left;
            return Poll::Ready(Some(Ok(data)));
        }
    }
}
