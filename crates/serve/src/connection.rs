//! Connection: from the accepted socket to its close: PROXY header, TLS, HTTP/1.1 or HTTP/2.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::{Pin, pin};
use std::sync::Arc;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::Interest;
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::OwnedSemaphorePermit;

use crate::client::Ends;
use crate::door::{Behind, Door};
use crate::fcgi;
use crate::handle::{Connection, handle};
use crate::proxy_protocol;
use crate::server::{Registered, Server};
use crate::wire::activity::Activity;
use crate::wire::guard::Guard;
use crate::wire::stream::Stream;
use crate::wire::transport::Transport;

/// The most hyper buffers of one connection's heads and writes, in bytes.
const BUFFER_BYTES: usize = 64 * 1024;

/// What every HTTP/2 connection with prior knowledge begins with (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A connection that was just accepted.
pub enum Accepted {
    /// TCP, with the peer's address.
    Tcp(TcpStream, SocketAddr),
    /// A Unix socket.
    Unix(UnixStream),
}

impl Accepted {
    /// One that another process accepted.
    pub fn passed(socket: OwnedFd) -> io::Result<Self> {
        let name = rustix::net::getsockname(&socket)?;
        if rustix::net::SocketAddrUnix::try_from(name).is_ok() {
            let socket = std::os::unix::net::UnixStream::from(socket);
            socket.set_nonblocking(true)?;
            return UnixStream::from_std(socket).map(Self::Unix);
        }
        let socket = std::net::TcpStream::from(socket);
        socket.set_nonblocking(true)?;
        let peer = socket.peer_addr()?;
        TcpStream::from_std(socket).map(|socket| Self::Tcp(socket, peer))
    }
}

/// Serves a connection to its end. `place` is its place among the connections of the process.
pub async fn run(server: Arc<Server>, door: Arc<Door>, accepted: Accepted, place: OwnedSemaphorePermit) {
    let behind = door.behind.load_full();
    let registered = server.register(behind.patience);
    if behind.fastcgi {
        Box::pin(serve_fastcgi(&server, door, registered, accepted, &behind)).await;
        drop(place);
        return;
    }
    let opening = tokio::time::timeout(behind.patience.head, open(accepted, &behind));
    let (transport, ends, http2) = match opening.await {
        Ok(Ok(open)) => open,
        // Neither a client that leaves during the handshake nor a scanner is worth a line in the error log.
        Ok(Err(_)) | Err(_) => return,
    };
    drop(behind);
    serve(&server, door, registered, transport, ends, http2).await;
    drop(place);
}

/// Answers a web server. Over TCP, one that is neither on this machine nor trusted could say whatever it likes of its
/// visitors.
async fn serve_fastcgi(
    server: &Arc<Server>,
    door: Arc<Door>,
    registered: Registered,
    accepted: Accepted,
    behind: &Behind,
) {
    let activity = Arc::clone(&registered.activity);
    let ends = Ends { remote: None, local: None, tls: false };
    let connection = Connection { server: Arc::clone(server), door, activity, ends, sender: None };
    match accepted {
        Accepted::Unix(socket) => {
            let (read, write) = socket.into_split();
            if let Some((read, write)) = fcgi::serve(read, write, &connection).await {
                pass(&connection, read.reunite(write).map(UnixStream::into_std));
            }
        }
        Accepted::Tcp(socket, peer) => {
            let from = peer.ip().to_canonical();
            if !from.is_loopback() && !behind.trusted_proxies.iter().any(|net| net.contains(&from)) {
                let at = &connection.door.at;
                let why =
                    format_args!("fcgi:{at}: {from} was turned away: it is not in serve.trusted_proxies");
                return server.log.warn("fcgi", why);
            }
            // Without it the end of a large answer waits for an acknowledgement.
            if socket.set_nodelay(true).is_ok() {
                let (read, write) = socket.into_split();
                if let Some((read, write)) = fcgi::serve(read, write, &connection).await {
                    pass(&connection, read.reunite(write).map(TcpStream::into_std));
                }
            }
        }
    }
}

/// Passes a connection on to the process that takes over. If that fails it is closed, as it would be without an heir.
fn pass<S: AsFd, W: std::error::Error>(connection: &Connection, socket: Result<io::Result<S>, W>) {
    let (server, at) = (&connection.server, connection.door.at.to_string());
    let passed = socket.map_err(|apart| io::Error::other(apart.to_string())).flatten();
    let passed =
        passed.and_then(|socket| server.heir().map_or(Ok(()), |heir| heir.pass(&at, socket.as_fd())));
    if let Err(why) = passed {
        server.log.warn("fcgi", format_args!("{at}: a connection cannot be passed on, and is closed: {why}"));
    }
}

/// PROXY header and TLS handshake. Gives the transport, its ends, and whether HTTP/2 was agreed on.
async fn open(accepted: Accepted, behind: &Behind) -> io::Result<(Transport, Ends, bool)> {
    match accepted {
        Accepted::Tcp(mut socket, peer) => {
            socket.set_nodelay(true)?;
            let local = socket.local_addr().ok();
            let mut ends = Ends { remote: Some(peer), local, tls: behind.tls.is_some() };
            if behind.proxy_protocol {
                if !behind.trusted_proxies.iter().any(|net| net.contains(&peer.ip().to_canonical())) {
                    return Err(io::ErrorKind::PermissionDenied.into());
                }
                ends.remote = proxy_protocol::read(&mut socket).await?.or(ends.remote);
            }
            let Some(tls) = &behind.tls else { return Ok((Transport::Tcp(socket), ends, false)) };
            let socket = tokio_rustls::TlsAcceptor::from(Arc::clone(&tls.config)).accept(socket).await?;
            let http2 = socket.get_ref().1.alpn_protocol() == Some(b"h2");
            Ok((Transport::Tls(Box::new(socket)), ends, http2))
        }
        Accepted::Unix(mut socket) => {
            let mut ends = Ends { remote: None, local: None, tls: behind.tls.is_some() };
            if behind.proxy_protocol {
                ends.remote = proxy_protocol::read(&mut socket).await?;
            }
            let Some(tls) = &behind.tls else { return Ok((Transport::Unix(socket), ends, false)) };
            let socket = tokio_rustls::TlsAcceptor::from(Arc::clone(&tls.config)).accept(socket).await?;
            let http2 = socket.get_ref().1.alpn_protocol() == Some(b"h2");
            Ok((Transport::TlsUnix(Box::new(socket)), ends, http2))
        }
    }
}

async fn serve(
    server: &Arc<Server>,
    door: Arc<Door>,
    registered: Registered,
    transport: Transport,
    ends: Ends,
    agreed_http2: bool,
) {
    let activity = Arc::clone(&registered.activity);
    let (first, http2) = match agreed_http2 {
        true => (Vec::new(), true),
        false => match first_bytes(&transport, &activity).await {
            Some(first) => {
                let http2 = first.starts_with(PREFACE);
                (first, http2)
            }
            None => return,
        },
    };
    let heads = door.behind.load().heads;
    let guard = if http2 { Guard::through(heads) } else { Guard::new(heads) };
    let vectored = transport.can_send_files();
    let stream = Stream::new(transport, guard, first, Arc::clone(&activity));
    let sender = stream.sender().filter(|_| !http2);
    let connection =
        Connection { server: Arc::clone(server), door, activity: Arc::clone(&activity), ends, sender };
    if http2 {
        Box::pin(serve_http2(stream, connection)).await;
    } else {
        Box::pin(serve_http1(stream, connection, vectored)).await;
    }
}

/// What a plain connection begins with, as far as it takes to tell HTTP/2 from HTTP/1; `None`: it is over.
/// A connection that is idle from the start holds no buffer yet.
async fn first_bytes(transport: &Transport, activity: &Activity) -> Option<Vec<u8>> {
    let mut first = Vec::new();
    loop {
        let readable = async {
            match transport {
                Transport::Tcp(socket) => socket.ready(Interest::READABLE).await.map(|_| ()),
                Transport::Unix(socket) => socket.ready(Interest::READABLE).await.map(|_| ()),
                // ALPN tells; without it, it is HTTP/1.
                Transport::Tls(_) | Transport::TlsUnix(_) => Ok(()),
            }
        };
        tokio::select! {
            biased;
            readable = readable => readable.ok()?,
            () = activity.woken() => return None,
        }
        match try_read(transport, &mut first) {
            Ok(0) => return None,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) if error.kind() == io::ErrorKind::Unsupported => return Some(first),
            Err(_gone) => return None,
        }
        let known = first.len().min(PREFACE.len());
        if first[..known] != PREFACE[..known] || known == PREFACE.len() {
            return Some(first);
        }
    }
}

fn try_read(transport: &Transport, first: &mut Vec<u8>) -> io::Result<usize> {
    let mut bytes = [0u8; 2048];
    let n = match transport {
        Transport::Tcp(socket) => socket.try_read(&mut bytes)?,
        Transport::Unix(socket) => socket.try_read(&mut bytes)?,
        Transport::Tls(_) | Transport::TlsUnix(_) => return Err(io::ErrorKind::Unsupported.into()),
    };
    first.extend_from_slice(&bytes[..n]);
    Ok(n)
}

async fn serve_http1(stream: Stream, connection: Connection, vectored: bool) {
    let activity = Arc::clone(&connection.activity);
    let connection = Arc::new(connection);
    let service = service_fn(move |request| handle(Arc::clone(&connection), request));
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder.max_buf_size(BUFFER_BYTES).header_read_timeout(None).half_close(false);
    if vectored {
        builder.writev(true);
    }
    let http = builder.serve_connection(TokioIo::new(stream), service).with_upgrades();
    run_to_end(http, &activity, |http| http.graceful_shutdown()).await;
}

async fn serve_http2(stream: Stream, connection: Connection) {
    let activity = Arc::clone(&connection.activity);
    activity.multiplex();
    if connection.server.is_draining() {
        activity.close();
    }
    let connection = Arc::new(connection);
    let service = service_fn(move |request| handle(Arc::clone(&connection), request));
    let mut builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_header_list_size(BUFFER_BYTES as u32)
        .max_concurrent_streams(128)
        .initial_stream_window_size(256 * 1024)
        .initial_connection_window_size(1024 * 1024);
    let http = builder.serve_connection(TokioIo::new(stream), service);
    run_to_end(http, &activity, |http| http.graceful_shutdown()).await;
}

/// Runs a connection until the client left, or was told what was wrong. `close`: it takes no further request.
async fn run_to_end<C: Future>(connection: C, activity: &Activity, close: impl Fn(Pin<&mut C>)) {
    let mut connection = pin!(connection);
    let mut closing = false;
    loop {
        tokio::select! {
            biased;
            _ended = connection.as_mut() => return,
            () = activity.woken() => {
                if activity.is_closing() && !closing {
                    closing = true;
                    close(connection.as_mut());
                }
            }
        }
    }
}
