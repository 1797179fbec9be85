//! Output: the body of a CGI program's answer, as it comes. When the client leaves, the program is killed.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::Frame;
use tokio::sync::mpsc;

use super::program::{Log, Run};
use crate::body::{Body, BodyError};

/// Pieces that wait for a slow client before the program waits too.
const AHEAD: usize = 4;

struct Output {
    pieces: mpsc::Receiver<Result<Bytes, BodyError>>,
}

/// What is left of the answer, as a body.
pub(super) fn body(run: Run, log: Log) -> Body {
    let (sender, pieces) = mpsc::channel(AHEAD);
    tokio::spawn(pump(run, sender, log));
    Body::stream(Output { pieces })
}

async fn pump(mut run: Run, sender: mpsc::Sender<Result<Bytes, BodyError>>, log: Log) {
    loop {
        let read = tokio::select! {
            read = run.read() => read,
            () = sender.closed() => return,
        };
        let piece = match read {
            Ok(Some(piece)) => Ok(piece),
            Ok(None) => {
                // Ends the response; the program may have something to do yet.
                drop(sender);
                return run.finish().await;
            }
            Err(error) => {
                log(&error.to_string());
                Err(BodyError::from(error))
            }
        };
        let is_over = piece.is_err();
        if sender.send(piece).await.is_err() || is_over {
            return;
        }
    }
}

impl http_body::Body for Output {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let piece = self.get_mut().pieces.poll_recv(cx);
        piece.map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }
}
