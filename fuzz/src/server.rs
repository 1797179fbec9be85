//! The server on a connection: whatever a web server sends, nothing panics or hangs, and what goes back is records.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use fastcgi::record::{HEADER_LEN, Header};
use fastcgi::server::{Connection, Gone};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What a web server might send. The first byte says how it is cut.
pub fn server(data: &[u8]) {
    let Some((&cut, stream)) = data.split_first() else { return };
    for piece in [usize::from(cut) + 1, stream.len().max(1)] {
        let out = echo(stream, piece);
        let mut rest = &out[..];
        while let Some(header) = rest.first_chunk::<HEADER_LEN>() {
            let header = Header::parse(header).expect("a record");
            let len = HEADER_LEN + usize::from(header.content) + usize::from(header.padding);
            rest = rest.get(len..).expect("a whole record");
        }
        assert!(rest.is_empty());
    }
}

/// Answers each request with its own body, as a server would that reads `stream` in pieces; gives what it wrote.
pub fn echo(stream: &[u8], piece: usize) -> Vec<u8> {
    let out = Rc::new(RefCell::new(Vec::new()));
    let read = Pieces { stream: stream.to_vec(), at: 0, piece, rests: false };
    let mut connection = Connection::new(read, Sink { out: Rc::clone(&out), piece }, 10_000, 4);
    let cx = &mut Context::from_waker(Waker::noop());
    // Each poll takes something, ends it, or follows a rest.
    let mut left = 100 + stream.len() * 8;
    let mut step = || {
        left = left.checked_sub(1).expect("it ends");
    };
    'requests: loop {
        step();
        let mut request = match connection.poll_request(cx) {
            Poll::Pending => continue,
            Poll::Ready(Ok(request)) => request,
            Poll::Ready(Err(Gone::Aborted)) => {
                connection.end();
                continue;
            }
            Poll::Ready(Err(_)) => break,
        };
        loop {
            step();
            match request.body.poll_piece(cx) {
                Poll::Ready(Some(Ok(bytes))) => connection.stdout(bytes),
                Poll::Ready(Some(Err(_)) | None) => break,
                Poll::Pending => match connection.poll_input(cx) {
                    Poll::Ready(Gone::Aborted) => break,
                    Poll::Ready(_) => break 'requests,
                    Poll::Pending => {}
                },
            }
            while connection.poll_flush(cx).is_pending() {}
        }
        connection.end();
        while connection.poll_flush(cx).is_pending() {}
        if !request.keep {
            break;
        }
    }
    drop(connection);
    Rc::into_inner(out).expect("the connection is gone").into_inner()
}

/// Gives a stream in pieces, and rests in between.
struct Pieces {
    stream: Vec<u8>,
    at: usize,
    piece: usize,
    rests: bool,
}

impl AsyncRead for Pieces {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.rests = !self.rests;
        if self.rests {
            return Poll::Pending;
        }
        let end = (self.at + self.piece.min(into.remaining())).min(self.stream.len());
        into.put_slice(&self.stream[self.at..end]);
        self.at = end;
        Poll::Ready(Ok(()))
    }
}

/// Takes a little at a time.
struct Sink {
    out: Rc<RefCell<Vec<u8>>>,
    piece: usize,
}

impl AsyncWrite for Sink {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let count = bytes.len().min(self.piece.max(16));
        self.out.borrow_mut().extend_from_slice(&bytes[..count]);
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
