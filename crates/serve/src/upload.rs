//! Upload: a request's body on its way to us, over HTTP or from a web server that speaks FastCGI.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use fastcgi::server;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

/// A request's body.
pub enum Upload {
    /// Over HTTP.
    Http(Incoming),
    /// From a web server in front of us.
    Fcgi(server::Body),
}

/// Why it does not come whole.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// HTTP's reason.
    #[error(transparent)]
    Http(hyper::Error),
    /// The web server's.
    #[error(transparent)]
    Fcgi(server::Cut),
}

impl UploadError {
    /// Whether it took too long.
    pub fn is_timeout(&self) -> bool {
        match self {
            Self::Http(why) => why.is_timeout(),
            Self::Fcgi(why) => *why == server::Cut::Late,
        }
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = UploadError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        match self.get_mut() {
            Self::Http(body) => Pin::new(body).poll_frame(cx).map_err(UploadError::Http),
            Self::Fcgi(body) => {
                body.poll_piece(cx).map(|piece| Some(piece?.map(Frame::data).map_err(UploadError::Fcgi)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Http(body) => body.is_end_stream(),
            Self::Fcgi(body) => body.is_end(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Http(body) => body.size_hint(),
            Self::Fcgi(body) if body.is_end() => SizeHint::with_exact(0),
            Self::Fcgi(_) => SizeHint::default(),
        }
    }
}
