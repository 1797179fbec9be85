//! Stream: one connection to the target, whatever it is made of.

use crate::target::{Socket, Target};
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// What is spoken, as TLS names it (ALPN).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

/// Makes connections to one target.
#[derive(Clone, Debug)]
pub struct Dialer {
    socket: Socket,
    tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
}

/// One connection.
#[derive(Debug)]
pub enum Stream {
    /// Over TCP.
    Tcp(TcpStream),
    /// Over a Unix socket.
    Unix(UnixStream),
    /// Over TLS over TCP.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Protocol {
    fn alpn(self) -> &'static [u8] {
        match self {
            Self::Http1 => b"http/1.1",
            Self::Http2 => b"h2",
        }
    }
}

impl Dialer {
    /// To this target; over TLS this protocol alone is offered.
    #[must_use]
    pub fn new(target: &Target, protocol: Protocol) -> Self {
        let tls = target.tls.as_ref().map(|tls| tls.offering(protocol.alpn()));
        Self { socket: target.socket.clone(), tls }
    }

    /// A new connection.
    ///
    /// # Errors
    /// When there is none, or the handshake fails.
    pub async fn connect(&self) -> io::Result<Stream> {
        loop {
            let tried = match &self.socket {
                Socket::Tcp(address) => TcpStream::connect(address).await.and_then(|stream| {
                    stream.set_nodelay(true)?;
                    Ok(Stream::Tcp(stream))
                }),
                Socket::Unix(path) => UnixStream::connect(path).await.map(Stream::Unix),
            };
            match tried {
                // Our own ports or (Unix) the listener's backlog ran out: not an answer, so wait as a blocking client would.
                Err(why) if matches!(why.kind(), ErrorKind::AddrNotAvailable | ErrorKind::WouldBlock) => {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                Ok(stream) => return self.secure(stream).await,
                Err(why) => return Err(why),
            }
        }
    }

    async fn secure(&self, stream: Stream) -> io::Result<Stream> {
        match (stream, &self.tls) {
            (Stream::Tcp(stream), Some((config, name))) => {
                let connector = TlsConnector::from(Arc::clone(config));
                Ok(Stream::Tls(Box::new(connector.connect(name.clone(), stream).await?)))
            }
            (stream, _) => Ok(stream),
        }
    }
}

impl Stream {
    /// Whether the other side has closed, or sent what nobody asked for.
    pub(crate) async fn is_over(&mut self) -> bool {
        let mut byte = [0];
        let mut into = ReadBuf::new(&mut byte);
        poll_fn(|context| Poll::Ready(Pin::new(&mut *self).poll_read(context, &mut into).is_ready())).await
    }

    pub(crate) async fn read_more(&mut self, into: &mut Vec<u8>) -> io::Result<usize> {
        into.reserve(16 * 1024);
        self.read_buf(into).await
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes).await?;
        match self {
            Self::Tcp(_) | Self::Unix(_) => Ok(()),
            Self::Tls(stream) => stream.flush().await,
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(context, into),
            Self::Unix(stream) => Pin::new(stream).poll_read(context, into),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_read(context, into),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(context, from),
            Self::Unix(stream) => Pin::new(stream).poll_write(context, from),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_write(context, from),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(context),
            Self::Unix(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(context),
        }
    }
}
