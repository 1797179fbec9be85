//! Transport: the socket under a connection, plain or TLS.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustix::net::{SendAncillaryBuffer, SendFlags, sendmsg};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::server::TlsStream;

use crate::sendfile::Sender;

/// A byte stream to a client.
pub enum Transport {
    /// TCP.
    Tcp(TcpStream),
    /// A Unix socket: a front server on the same machine.
    Unix(UnixStream),
    /// TLS over TCP.
    Tls(Box<TlsStream<TcpStream>>),
    /// TLS over a Unix socket.
    TlsUnix(Box<TlsStream<UnixStream>>),
}

impl Transport {
    /// Whether the kernel can send files to it.
    pub fn can_send_files(&self) -> bool {
        matches!(self, Self::Tcp(_) | Self::Unix(_))
    }

    /// Sends the file range that is promised next.
    pub fn poll_send_file(
        &self,
        cx: &mut Context<'_>,
        sender: &Sender,
        most: usize,
    ) -> Poll<io::Result<usize>> {
        self.poll_by_kernel(cx, |socket| sender.send(socket, most))
    }

    /// Writes what stands before a file: the kernel may wait for the file's first bytes.
    pub fn poll_write_before_file(
        &self,
        cx: &mut Context<'_>,
        head: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_by_kernel(cx, |socket| {
            let flags = SendFlags::MORE | SendFlags::NOSIGNAL;
            sendmsg(socket, head, &mut SendAncillaryBuffer::default(), flags).map_err(io::Error::from)
        })
    }

    /// Does `send` as soon as the socket takes something.
    fn poll_by_kernel(
        &self,
        cx: &mut Context<'_>,
        send: impl Fn(BorrowedFd<'_>) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            let sent = match self {
                Self::Tcp(socket) => {
                    ready!(socket.poll_write_ready(cx))?;
                    socket.try_io(Interest::WRITABLE, || send(socket.as_fd()))
                }
                Self::Unix(socket) => {
                    ready!(socket.poll_write_ready(cx))?;
                    socket.try_io(Interest::WRITABLE, || send(socket.as_fd()))
                }
                Self::Tls(_) | Self::TlsUnix(_) => {
                    Err(io::Error::other("files are not sent by the kernel over TLS"))
                }
            };
            match sent {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => return Poll::Ready(other),
            }
        }
    }
}

macro_rules! each {
    ($self:ident, $socket:ident => $call:expr) => {
        match $self.get_mut() {
            Transport::Tcp($socket) => $call,
            Transport::Unix($socket) => $call,
            Transport::Tls($socket) => $call,
            Transport::TlsUnix($socket) => $call,
        }
    };
}

impl AsyncRead for Transport {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        each!(self, socket => Pin::new(socket).poll_read(cx, buf))
    }
}

impl AsyncWrite for Transport {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        each!(self, socket => Pin::new(socket).poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(self, socket => Pin::new(socket).poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(socket) => socket.is_write_vectored(),
            Self::Unix(socket) => socket.is_write_vectored(),
            Self::Tls(socket) => socket.is_write_vectored(),
            Self::TlsUnix(socket) => socket.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, socket => Pin::new(socket).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, socket => Pin::new(socket).poll_shutdown(cx))
    }
}
